"""Where a run's accuracy has fallen, from what it logged; no model is opened."""

from __future__ import annotations

from pathlib import Path

from interp.checkpoints import METRICS
from interp.support.errors import UserError
from training.metrics import read_metrics
from training.runs import read_run
from training.studies.measures import crash_steps, read_curves

REACHED, DROP = 0.95, 0.2  # as every shipped plan counts crashes


def first_drop(run: Path) -> int:
    """The first step at which the run's curve has fallen."""
    read_run(run)  # it is a run
    curve = read_curves(read_metrics(run / METRICS)).batch
    drops = crash_steps(curve, REACHED, DROP)
    if not drops:
        raise UserError(
            f"{run} never fell by more than {100 * DROP:.0f} points after it had reached "
            f"{100 * REACHED:.0f} %; give a --step to look at all the same"
        )
    return drops[0]
