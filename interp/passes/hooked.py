"""The hooked model itself: what everything that is faster must equal, and goes back to.

    with acting(model, {(Component.Z, 0): [zero_head]}):
        model(tokens)
    logits, values = run_hooked(model, tokens, {}, keep=[(Component.V, 1)])

Whatever is on the model already acts first: hooks are called in the order in which they were put
there. Those of :func:`acting` act in the thread that put them there, on this model and not on
copies of it, and are taken away again whatever happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from interp.passes.untouched import Scoped, compiled_part
from interp.sites import Component, hook_name
from interp.support.errors import UserError

Change = Callable[[Tensor], Tensor | None]
"""Given a whole activation, what to go on with; None leaves it."""


@contextmanager
def acting(model: Any, changes: Mapping[tuple[Component, int], Sequence[Change]]) -> Iterator[None]:
    """Inside the block every forward pass of this thread on ``model`` is changed.

    Raises:
        UserError: before anything runs, where the changes would not be called.
    """
    if not isinstance(model, nn.Module):
        raise UserError("there are no hooks on bare parameters: open it with load_model")
    if changes and (found := compiled_part(model)):
        raise UserError(
            f"{found}, and then hooks are not called: intervene on the model before torch.compile"
        )
    handles = []
    try:
        for (component, layer), several in changes.items():
            point = _point(model, hook_name(component, layer))
            # PyTorch's own hooks: TransformerLens's reset_hooks, which run_with_cache and others
            # call, would take away everybody's.
            handles += [
                point.register_forward_hook(_Change(point, threading.get_ident(), change))
                for change in several
            ]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _point(model: Any, name: str) -> nn.Module:
    point: nn.Module = model.hook_dict[name]
    try:
        in_use = model.get_submodule(name) is point
    except AttributeError:
        in_use = False
    if not in_use:
        raise UserError(
            f"{name} is part of this model no more, for a module was replaced: model.setup() "
            "names its hook points anew"
        )
    return point


@dataclass(eq=False)
class _Change(Scoped):
    """A PyTorch forward hook."""

    point: nn.Module
    owner: int  # the thread
    change: Change

    def acts(self, module: nn.Module) -> bool:
        return module is self.point and threading.get_ident() == self.owner

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        return self.change(output) if self.acts(module) else None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Change:
        return self  # on a copy of the model it rests, for that has hook points of its own

    def __reduce__(self) -> Any:
        raise UserError("a model cannot be pickled while it is intervened on; do it outside")


def run_hooked(
    model: Any,
    tokens: Int[Tensor, "batch pos"],
    changes: Mapping[tuple[Component, int], Sequence[Change]],
    keep: Collection[tuple[Component, int]] = (),
) -> tuple[Float[Tensor, "batch pos d_vocab_out"], dict[tuple[Component, int], Tensor]]:
    """One pass of the model over full sequences: its logits, and what it held after the changes."""
    values: dict[tuple[Component, int], Tensor] = {}

    def keeps(place: tuple[Component, int]) -> Change:
        def record(value: Tensor) -> None:
            values[place] = value

        return record

    wanted = dict.fromkeys(keep)
    everything = {
        place: [*changes.get(place, ()), *([keeps(place)] if place in wanted else [])]
        for place in {**changes, **wanted}
    }
    with acting(model, everything):
        logits = model(tokens)
    if missing := [place for place in wanted if place not in values]:
        raise UserError(f"the model did not come through {hook_name(*missing[0])}")
    return logits, values
