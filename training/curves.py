"""The accuracy of a run over its steps, and where it falls.

    step       0    10    20   ...  5000  5010 ...  5990
    accuracy   0.0  0.0   0.01      0.97  0.41      0.96

The accuracy at step s is that of the weights after s updates: of the training batch before the next
update, every 10 steps (what the published experiment plots), and of the fixed held-out lists, every
100.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

BATCH_KEY, HELD_OUT_KEY = "accuracy", "eval/exact_match"  # in the rows of metrics.jsonl
AVERAGE_KEY = "average/accuracy"


@dataclass(frozen=True)
class Curve:
    """An accuracy, 0 to 1, at rising steps."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def since(self, step: int) -> list[float]:
        """Values at ``step`` and later."""
        return [v for s, v in zip(self.steps, self.values, strict=True) if s >= step]

    def lost_from(self, step: int, schedule: Iterable[int]) -> Curve:
        """With 0 at every scheduled step from ``step`` on."""
        kept = [(s, v) for s, v in zip(self.steps, self.values, strict=True) if s < step]
        kept += [(s, 0.0) for s in schedule if s >= step]
        return Curve(tuple(s for s, _ in kept), tuple(v for _, v in kept))


@dataclass(frozen=True)
class Curves:
    """Both accuracies of a run."""

    batch: Curve
    """Of the training batch, without dropout: lists whose every output in the loss is right."""
    held_out: Curve
    """Exact match on the fixed held-out lists."""
    average: Curve = Curve((), ())
    """As ``batch``, of an average of the weights; empty where none was kept."""


def read_curves(rows: Iterable[dict[str, Any]]) -> Curves:
    """The curves in the rows of a ``metrics.jsonl``."""
    rows = list(rows)

    def curve(key: str) -> Curve:
        found = [(row["step"], row[key]) for row in rows if key in row]
        return Curve(tuple(step for step, _ in found), tuple(value for _, value in found))

    return Curves(curve(BATCH_KEY), curve(HELD_OUT_KEY), curve(AVERAGE_KEY))


def steps_to(curve: Curve, value: float) -> int | None:
    """The first step with at least ``value``, or None."""
    return next((s for s, v in zip(curve.steps, curve.values, strict=True) if v >= value), None)


REACHED, CRASH_DROP = 0.95, 0.2
"""What counts as a crash where no plan says otherwise: as every shipped plan has it."""


class CrashWatch:
    """Tells of each value of a curve, in their order, whether the curve has crashed there.

    A crash is a fall by more than ``drop`` below the highest value since ``reached``. One fall
    counts once, however long it takes; the next one needs ``reached`` again.
    """

    def __init__(self, reached: float = REACHED, drop: float = CRASH_DROP) -> None:
        self._reached, self._drop = reached, drop
        self._highest: float | None = None

    def falls(self, value: float) -> bool:
        """Whether the next value of the curve is a crash."""
        if self._highest is not None and value < self._highest - self._drop:
            self._highest = None
            return True
        if value >= self._reached or self._highest is not None:
            self._highest = max(value, self._highest or value)
        return False


def crash_steps(curve: Curve, reached: float = REACHED, drop: float = CRASH_DROP) -> list[int]:
    """The steps at which ``curve`` crashes: see :class:`CrashWatch`."""
    watch = CrashWatch(reached, drop)
    return [s for s, v in zip(curve.steps, curve.values, strict=True) if watch.falls(v)]
