"""Choosing where and in what precision to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from interp.support.errors import UserError
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")

Device = Literal["auto", "cpu", "cuda", "mps"]
"""What ``--device`` takes; ``auto`` is cuda, else mps, else cpu."""


def pick_device(wanted: str) -> torch.device:
    """``auto``: the accelerator if there is one.

    Raises:
        UserError: if this machine has no such device, saying which ones it has.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    usable = [name for name, there in available.items() if there]
    if wanted == "auto":
        return torch.device(usable[0])
    if wanted not in usable:
        raise UserError(
            f"--device {wanted}: this machine has none; usable here: auto, {', '.join(usable)}"
        )
    return torch.device(wanted)


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself; emulated, it is a hundred times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return False


def pick_precision(wanted: str, device: torch.device) -> str:
    """``auto``: bfloat16 where it is native, else float32."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if native_bfloat16(device) else "float32"
