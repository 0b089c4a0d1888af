"""Whether a model still computes what its parameters alone say.

    touch(model)                    # None, or "a forward hook on blocks.0.attn.hook_z"
    refuse_touched(model, "a sweep of patches")     # UserError where there is something

Much of the library does not call the model: :mod:`interp.passes.packed`,
:mod:`interp.passes.forward` and what is built on them compute from its parameters, several times as
fast. That is right exactly as long as nothing else acts on the model. So each of them asks here
first, and goes through the hooked model (:mod:`interp.passes.hooked`) where something does, or
refuses. To ask takes about a tenth of a millisecond.

Things that act: PyTorch's hooks, forward and backward, on any module and global ones (those of
TransformerLens are such hooks, and so are those of :func:`interp.interventions.intervene`); a
module that was replaced, parametrised or compiled; a method that was put over another, on a module
or on its class; a setting that was changed after the model was built, what a closed score becomes
among them. Parameters are read when they are used, so changed weights, and hooks on a parameter's
gradient, are no such thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from interp.support.errors import UserError

_HOOKS = {
    "_forward_hooks": "a forward hook",
    "_forward_pre_hooks": "a forward pre-hook",
    "_backward_hooks": "a backward hook",
    "_backward_pre_hooks": "a backward pre-hook",
}
_HARMLESS = {  # settings of TransformerLens that add hook points, or say where things are
    *("use_attn_result", "use_attn_in", "use_split_qkv_input", "use_hook_mlp_in"),
    *("ungroup_grouped_query_attention", "device", "n_devices", "default_prepend_bos", "dtype"),
    *("tokenizer_name", "seed", "initializer_range", "init_weights", "init_mode", "model_name"),
}
_FORWARD: dict[type, Callable[..., Any]] = {}  # as they were when the first model was built
_PLAIN = (bool, int, float, str, type(None))  # what modules keep as settings, beside functions
_PASSING = {
    *("name", "training", "blueprint", "is_caching", "context_level", "_is_full_backward_hook"),
}
"""Attributes that say nothing of what is computed."""
_CONFIGS = ("cfg", "config")  # read at each pass: by the modules, and by what passes them over


class Scoped:
    """A PyTorch hook that may rest; :mod:`interp.passes.hooked` makes them."""

    def acts(self, module: nn.Module) -> bool:
        """Whether it would change what ``module`` does now, in this thread."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Part:
    """What one module was when its model was built."""

    name: str
    module: nn.Module
    kind: Any
    forward: Callable[..., Any]
    children: tuple[nn.Module | None, ...]
    n_attributes: int
    attributes: frozenset[str]
    settings: Mapping[str, Any]
    configs: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Blueprint:
    """What a model was when it was built; only :func:`touch` reads it."""

    parts: tuple[Part, ...]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, model: Any, kind: type) -> Blueprint:
        """Of a model that has just been built; of a subclass of ``kind`` nothing is known."""
        others = ((name, part) for name, part in model.named_modules() if name)
        parts = (_part("", model, kind), *(_part(name, part, type(part)) for name, part in others))
        return cls(parts, dict(vars(model.cfg)))


def touch(model: Any, within: Iterable[str] = ()) -> str | None:
    """What acts on a model beside its parameters, in words; None if nothing does.

    Args:
        within: names of parts, such as ``unembed``: look at these alone.

    Raises:
        UserError: for what is no sort transformer, and for a compiled one with something on it.
    """
    if (default := torch.get_default_dtype()) is not torch.float32:
        raise UserError(
            f"all is of float32 here: torch.set_default_dtype is {default}, set it back"
        )
    if (compiled_from := wrapped(model)) is not None:
        _refuse_compiled(compiled_from)
        return None
    blueprint = vars(model).get("blueprint") if isinstance(model, nn.Module) else None
    if blueprint is None:
        _check_bare(model)
        return None
    if found := _touched_everywhere(model, blueprint):
        return found
    for part in blueprint.parts:
        if (not within or part.name.split(".")[0] in within) and (found := _touched(part)):
            return found
    return None


def refuse_touched(model: Any, what: str, within: Iterable[str] = ()) -> None:
    """For what cannot go through the hooked model.

    Raises:
        UserError: naming what acts on the model.
    """
    if found := touch(model, within):
        raise UserError(
            f"{what} is computed from the parameters and would ignore {found}: take it away first"
        )


def wrapped(model: Any) -> Any:
    """The model that ``torch.compile`` has wrapped; None if ``model`` is no such wrapper."""
    return model._modules.get("_orig_mod") if isinstance(model, nn.Module) else None


def compiled_part(model: nn.Module) -> str | None:
    """The first part of a model that is compiled, in words: hooks in it may never be called."""
    if wrapped(model) is not None:
        return "the model is compiled"
    for name, module in model.named_modules():
        if wrapped(module) is not None or vars(module).get("_compiled_call_impl") is not None:
            return f"{name or 'the model'} is compiled"
    return None


def _refuse_compiled(model: Any) -> None:
    if found := touch(model):
        raise UserError(
            f"a compiled model does not call hooks that were added later, such as {found}: take it "
            "away, or use the model that was compiled"
        )


def _check_bare(model: Any) -> None:
    if isinstance(model, nn.Module) or not hasattr(model, "blocks"):
        raise UserError(
            f"{type(model).__name__} is no sort transformer; interp.checkpoints.load_model opens "
            "one (of a wrapper like DataParallel, give its .module)"
        )


def _touched_everywhere(model: Any, blueprint: Blueprint) -> str | None:
    if blueprint.parts[0].module is not model:
        return "what made it a shallow copy"
    for name, words in _HOOKS.items():
        if getattr(torch_module, f"_global{name}", None):
            return f"{words} on all modules"
    settings = vars(model.cfg)
    if settings != blueprint.settings:
        for name in settings.keys() | blueprint.settings.keys():
            if settings.get(name) != blueprint.settings.get(name) and name not in _HARMLESS:
                return f"a changed cfg.{name}"
    return None


def _touched(part: Part) -> str | None:
    module, own = part.module, part.module.__dict__
    if type(module) is not part.kind or part.kind.forward is not part.forward:
        return _on("another class or forward", part)
    if tuple(own["_modules"].values()) != part.children:
        return _on("a module that was put in or taken out", part)
    for name, words in _HOOKS.items():
        if own[name] and any(_acts(hook, module) for hook in list(own[name].values())):
            return _on(words, part)
    if len(own) != part.n_attributes and (found := _overridden(part)):
        return found
    for name, value in part.settings.items():
        if own.get(name) != value:
            return _on(f"a changed {name}", part)
    for name, value in part.configs.items():
        if own.get(name) is not value:
            return _on(f"another {name}", part)
    if (closed := own["_buffers"].get("IGNORE")) is not None and float(closed) != -torch.inf:
        return _on("a changed IGNORE", part)
    return None


def _acts(hook: Any, module: nn.Module) -> bool:
    return hook.acts(module) if isinstance(hook, Scoped) else True


def _overridden(part: Part) -> str | None:
    if vars(part.module).get("_compiled_call_impl") is not None:
        return None  # the same function
    for name in part.module.__dict__.keys() - part.attributes:
        if callable(getattr(part.kind, name, None)):
            return _on(f"a method put over {name}", part)
    return None


def _on(words: str, part: Part) -> str:
    return f"{words} on {part.name or 'the model'}"


def _part(name: str, module: nn.Module, kind: type) -> Part:
    own, forward = vars(module), _FORWARD.setdefault(kind, kind.forward)  # type: ignore[attr-defined]
    # Of a hook point, settings matter only where there is a hook.
    settings = {} if kind.__name__ == "HookPoint" else dict(_settings_of(own))
    children = tuple(module._modules.values())
    configs = {key: own[key] for key in _CONFIGS if key in own}
    return Part(name, module, kind, forward, children, len(own), frozenset(own), settings, configs)


def _settings_of(own: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in own.items():
        function = callable(value) and not isinstance(value, nn.Module | type)
        if name not in _PASSING and (function or isinstance(value, _PLAIN)):
            yield name, value
