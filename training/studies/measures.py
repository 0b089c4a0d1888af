"""What a run's learning curve amounts to: the measures that its plan fixed beforehand.

Whether a run is convergent is decided on the training batches, as published; the same measures of
the held-out lists stand beside it.

A run whose loss became NaN sorts nothing from then on: its accuracy counts as 0 to the last step,
and it is not convergent, however late that was.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from training.curves import Curve, Curves, crash_steps, steps_to
from training.recipes import TrainConfig
from training.studies.plans import Measures


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
