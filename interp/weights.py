"""What every set of weights must be, wherever it comes from: numbers, all of them finite.

    check_finite(weights, "model.safetensors")      # UserError: ... embed.W_E holds NaN

A single NaN spreads to every answer, and an infinity to most: a model that holds one says nothing,
and whatever is measured on it looks like a result. So they are refused where weights come in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from interp.support.errors import UserError
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")

IGNORE = "attn.IGNORE"  # TransformerLens's buffer of what a closed score becomes: -inf, rightly


def all_finite(tensor: torch.Tensor) -> bool:
    """By its least and its greatest number, which are NaN where any is: one pass, no copy."""
    if not tensor.numel() or tensor.is_complex():
        return bool(torch.isfinite(tensor).all())
    return all(math.isfinite(end) for end in torch.aminmax(tensor.detach()))


def check_finite(weights: Mapping[str, torch.Tensor], source: object) -> None:
    """Whether every tensor is free of NaN and infinity.

    Args:
        source: what the message begins with, for people: a file, or what the weights are of.

    Raises:
        UserError: naming the first tensor that is not, and how many of its numbers.
    """
    for name, tensor in weights.items():
        if name.rpartition("blocks.")[2].partition(".")[2] == IGNORE:
            _check_ignored(tensor, name, source)
        elif tensor.is_floating_point() or tensor.is_complex():
            _check_numbers(tensor, name, source)


def _check_numbers(tensor: torch.Tensor, name: str, source: object) -> None:
    if all_finite(tensor):
        return
    nan, infinite = int(torch.isnan(tensor).sum()), int(torch.isinf(tensor).sum())
    held = " and ".join(
        words
        for count, words in ((nan, "NaN"), (infinite, "infinity"))
        if count  # both may be there
    )
    raise UserError(
        f"{source}: {name} holds {held} ({nan + infinite:,} of {tensor.numel():,} numbers); "
        "such a model says nothing"
    )


def _check_ignored(tensor: torch.Tensor, name: str, source: object) -> None:
    if tensor.numel() != 1 or float(tensor) != -torch.inf:
        raise UserError(f"{source}: {name} must be -inf, what a closed attention score becomes")
