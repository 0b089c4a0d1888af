"""The one ``state_dict`` in a file of anybody's, as float32 tensors by their plain names.

    read_state(Path("model.pt"), "blocks.")     # {"embed.W_E": tensor, ...}

A file is what ``torch.save`` writes or safetensors (``.safetensors``). It may be the bare
``state_dict``, in any floating-point type, or a dict with it inside, an optimiser beside it; what
wrappers put before all names (``module.``, ``model.``, ``_orig_mod.``) is taken away. Nothing in it
is executed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.support import files
from interp.support.errors import UserError
from interp.support.tensors import MOST_TORCH, parse_safetensors, read_torch

PREFIXES = ("_orig_mod.", "module.", "model.")
"""Of ``torch.compile``, of data parallelism, and of a model that is a field of another."""
_DEEPEST = 3  # dicts within dicts that are looked through for a state_dict


def read_content(path: Path) -> Any:
    """What is in a file, tensors and all.

    Raises:
        UserError: naming the file and the reason, if it holds no weights that can be read.
    """
    if path.suffix == ".safetensors":
        return parse_safetensors(files.read_bytes(path, MOST_TORCH), path, any_type=True)
    return read_torch(path)


def state_of(content: Any, mark: str) -> Mapping[str, Tensor]:
    """The one ``state_dict`` in what was read, wherever it lies.

    Args:
        mark: what some name in a state dict has, if it lies inside another dict.

    Raises:
        UserError: if there is none, or more than one.
    """
    found = dict(_state_dicts(content, mark))
    if len(found) > 1:
        names = ", ".join(repr(name) for name in found)
        raise UserError(f"it holds several sets of weights, {names}: save the one to import alone")
    if found:
        return next(iter(found.values()))
    if isinstance(content, Mapping):
        for name, value in content.items():
            if not isinstance(name, str) or not isinstance(value, Tensor):
                kind = type(value).__name__
                raise UserError(f"it holds no state_dict: {str(name)[:60]!r} in it is a {kind}")
    raise UserError("it holds no state_dict")


def _state_dicts(
    content: Any, mark: str, name: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    if not isinstance(content, Mapping) or not content or depth > _DEEPEST:
        return
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        if depth == 0 or any(mark in key for key in content):
            yield name, content
        return
    for key, value in content.items():
        yield from _state_dicts(value, mark, f"{name}.{key}" if name else str(key), depth + 1)


def without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by the names that the model itself gave them.

    Raises:
        UserError: if two of them would then have one name.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        plain = _plain(name)
        if plain in found:
            raise UserError(f"it holds {plain[:80]} more than once, under different prefixes")
        found[plain] = tensor
    return found


def _plain(name: str) -> str:
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return _plain(name.removeprefix(prefix))
    return name


def numbers(name: str, tensor: Tensor) -> Tensor:
    """As float32, from whatever floating-point type it was saved in.

    Raises:
        UserError: if it holds what weights do not.
    """
    ordinary = tensor.layout is torch.strided and not (tensor.is_meta or tensor.is_quantized)
    if not tensor.is_floating_point() or not ordinary or tensor.is_nested:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise UserError(f"{name[:80]} holds {kind} in a form that weights do not come in")
    return tensor.detach().float()
