"""What benchmarks share: arms that take turns, and what the machine could do at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one arm, a number for each turn."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        return min(self.seconds)


def take_turns(
    arms: dict[str, Callable[[int], None]], turns: int, warm_up: int = 1
) -> Iterator[tuple[int, str, float]]:
    """Run every arm ``warm_up + turns`` times, a turn of each after the other.

    Taking turns spreads whatever else the machine is doing over all arms. Each arm is called with
    the number of the turn, so that all can work on the same input.

    Yields:
        turn (negative while warming up), arm, seconds.
    """
    for turn in range(-warm_up, turns):
        for name, run in arms.items():
            began = time.perf_counter()
            run(turn + warm_up)
            yield turn, name, time.perf_counter() - began


def matmul_rate(dtype: torch.dtype, size: int = 1536, seconds: float = 2.0) -> float:
    """The best rate of a large square matrix product, in floating-point operations per second.

    With as many threads as PyTorch uses now.
    """
    import torch

    a, b = torch.randn(2, size, size).to(dtype)
    out = torch.empty_like(a)
    best, stop = float("inf"), time.perf_counter() + seconds
    torch.mm(a, b, out=out)  # the first call sets things up
    while time.perf_counter() < stop:
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def processor_features() -> str:
    """What speeds up products of matrices here: ``AMX``, ``AVX-512`` or neither."""
    import torch

    cpu = torch.cpu
    found = [
        name
        for name, there in (
            ("AMX", cpu._is_amx_tile_supported()),
            ("AVX-512 bfloat16", cpu._is_avx512_bf16_supported()),
            ("AVX-512", cpu._is_avx512_supported()),
        )
        if there
    ]
    return (
        ", ".join(found) or f"neither AMX nor AVX-512 ({torch.backends.cpu.get_cpu_capability()})"
    )
