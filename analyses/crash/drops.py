"""Where a run's accuracy has fallen, from what it logged; no model is opened."""

from __future__ import annotations

from pathlib import Path

from interp.checkpoints import METRICS
from interp.support.errors import UserError
from training.curves import CRASH_DROP, REACHED, crash_steps, read_curves
from training.metrics import read_metrics
from training.runs import read_run


def first_drop(run: Path) -> int:
    """The first step at which the run's curve has fallen."""
    read_run(run)  # it is a run
    curve = read_curves(read_metrics(run / METRICS)).batch
    drops = crash_steps(curve)
    if not drops:
        raise UserError(
            f"{run} never fell by more than {100 * CRASH_DROP:.0f} points after it had reached "
            f"{100 * REACHED:.0f} %; give a --step to look at all the same"
        )
    return drops[0]
