"""Named random streams: the same key gives the same numbers, whatever was drawn before.

Batches, dropout masks and test sets are each a function of (what for, seed, step), so a resumed
run needs no generator states, and runs that differ only in the model see the same lists.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")


def stream(*key: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for ``key``, for example ``stream("train", seed, step)``.

    PyTorch's CPU generator takes 32 bits of a seed, so two keys in 4 billion coincide; that
    would repeat one batch, and is of no consequence.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)
