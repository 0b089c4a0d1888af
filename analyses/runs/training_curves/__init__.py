"""Learning curves, as they were logged: of any runs, or of a study's arms side by side.

    python -m analyses.runs.training_curves blanks no-blanks
    python -m analyses.runs.training_curves runs/0001-stable-blanks-s0 --log
    python -m analyses.runs.training_curves docs/studies/quick/blanks/seed-0000
    python -m analyses.runs.training_curves --study docs/studies/quick

A run is a shipped one or a shipped model by its name, a run folder, or a run of a study's compact
export by the folder that it had (``STUDY/ARM/seed-0000``). Every logged point is drawn and nothing
is smoothed: the accuracy of the training batch (whole lists, every 10 steps), exact match on the
held-out lists (every 100), and the loss where it was kept; an export keeps none.

What it does not show: what the weights do. That is ``analyses.runs.checkpoint_sweep``'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfLogs
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    from tyro import conf
else:
    conf = lazy_import("tyro.conf")


@dataclass(frozen=True)
class CurvesSettings:
    """Whose curves: of runs, or of a study."""

    runs: conf.Positional[tuple[str, ...]] = ()  # shipped names, run folders, STUDY/ARM/seed-0000
    study: Path | None = None  # instead: a study's folder or export, arm by arm
    log: bool = False  # steps on a logarithmic axis (step 0 has no place there)

    @property
    def own(self) -> tuple[str, ...]:
        """Each choice has its own folder of results."""
        return self.runs if self.study is None else (str(self.study),)


EXPERIMENT = Experiment(
    name="runs.training_curves",
    title="Learning curves",
    about=OfLogs,
    settings=CurvesSettings(),
)
