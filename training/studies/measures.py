"""What a run's learning curve amounts to: the measures that its plan fixed beforehand.

    step       0    10    20   ...  5000  5010 ...  5990
    accuracy   0.0  0.0   0.01      0.97  0.41      0.96

The accuracy at step s is that of the weights after s updates: of the training batch before the next
update, every 10 steps (what the published experiment plots), and of the fixed held-out lists, every
100. Whether a run is convergent is decided on the training batches, as published; the same measures
of the held-out lists stand beside it.

A run whose loss became NaN sorts nothing from then on: its accuracy counts as 0 to the last step,
and it is not convergent, however late that was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from training.recipes import TrainConfig
from training.studies.plans import Measures

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


@dataclass(frozen=True)
class CurveMeasures:
    """One curve against the thresholds of a plan. None where there is nothing to measure."""

    median_window: float | None
    """Over the last ``convergent_steps``; what convergence is decided on."""
    median_last: float | None
    """Over the ``last_share`` of the steps."""
    peak: float | None
    """The highest value."""
    steps_to_reached: int | None
    """The first step at which it is ``reached``."""
    crashes: int
    """Falls by more than ``crash_drop``, each counted once until ``reached`` again."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_curves(rows: Iterable[dict[str, Any]]) -> Curves:
    """The curves in the rows of a ``metrics.jsonl``."""
    rows = list(rows)

    def curve(key: str) -> Curve:
        found = [(row["step"], row[key]) for row in rows if key in row]
        return Curve(tuple(step for step, _ in found), tuple(value for _, value in found))

    return Curves(curve(BATCH_KEY), curve(HELD_OUT_KEY), curve(AVERAGE_KEY))


def to_the_end(curves: Curves, config: TrainConfig, diverged_at: int | None) -> Curves:
    """The curves of a whole run: of one that diverged, with zeros from there on."""
    if diverged_at is None:
        return curves
    batch = range(0, config.steps, config.log_every)
    held_out = [*range(config.eval_every, config.steps, config.eval_every), config.steps]
    return Curves(
        curves.batch.lost_from(diverged_at, batch),
        curves.held_out.lost_from(diverged_at, held_out),
        curves.average.lost_from(diverged_at, batch if curves.average.steps else ()),
    )


def measure(curve: Curve, plan: Measures, steps: int) -> CurveMeasures:
    """``curve`` of a run of ``steps`` updates, by the measures of its plan."""
    window = curve.since(steps - plan.convergent_steps)
    last = curve.since(round(steps * (1 - plan.last_share)))
    return CurveMeasures(
        median_window=median(window) if window else None,
        median_last=median(last) if last else None,
        peak=max(curve.values, default=None),
        steps_to_reached=steps_to(curve, plan.reached),
        crashes=len(crash_steps(curve, plan.reached, plan.crash_drop)),
    )


def is_convergent(batch: CurveMeasures, plan: Measures, diverged_at: int | None) -> bool:
    """The verdict on a run, from the measures of its training batches."""
    return diverged_at is None and (batch.median_window or 0.0) >= plan.convergent_at


def steps_to(curve: Curve, value: float) -> int | None:
    """The first step with at least ``value``, or None."""
    return next((s for s, v in zip(curve.steps, curve.values, strict=True) if v >= value), None)


def crash_steps(curve: Curve, reached: float, drop: float) -> list[int]:
    """Steps at which a curve that was at ``reached`` has fallen by more than ``drop``.

    Measured from the highest value since ``reached``. One fall counts once, however long it takes;
    the next one needs ``reached`` again.
    """
    found, highest = [], None
    for step, value in zip(curve.steps, curve.values, strict=True):
        if highest is not None and value < highest - drop:
            found.append(step)
            highest = None
        elif value >= reached or highest is not None:
            highest = max(value, highest or value)
    return found
