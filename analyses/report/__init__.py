"""Every analysis of one model, in one file that opens offline.

    python -m analyses.report
    python -m analyses.report --model no-blanks
    python -m analyses.report --model runs/0001-stable-blanks-s0 --only ablate_blanks path_blanks

What each found stands on top, in words; below, every figure with what it does not show and the
command that makes it alone. Analyses of blanks are left out, with the reason, for a model that has
none. A report that was stopped goes on where it was: what was computed for the same weights, seed
and settings is not computed again (--fresh does so all the same).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from analyses.experiment import catalogue
from analyses.experiment.subjects import OfModel
from interp.support.cli import run_command
from interp.support.errors import UserError


@dataclass(frozen=True)
class ReportArgs(OfModel):
    """Run every analysis on a model, and write one self-contained page."""

    only: tuple[str, ...] = ()  # some analyses by name (default: all)
    fresh: bool = False  # compute again what an earlier report left

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lists_file is not None:
            raise UserError(
                "the report is about drawn lists; give --lists to an analysis by itself"
            )
        catalogue.check_names(self.only, catalogue.reported())


def main(argv: Sequence[str] | None = None) -> None:
    run_command(ReportArgs, _run, "python -m analyses.report", argv)


def _run(args: ReportArgs) -> None:
    importlib.import_module("analyses.report.body").carry_out(args)  # torch, once flags are good
