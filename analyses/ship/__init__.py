"""Make the results that come with the package (:mod:`analyses.ship.shipped` reads them).

    python -m analyses.ship                                   # what is missing or out of date
    python -m analyses.ship --only which_program --models blanks --again

Of every shipped model, all experiments that a page offers and those that the page Home speaks of,
with the settings of their commands and seed 0; the replication, of each study under
``docs/studies``; the checkpoints of each shipped run; and one drop of accuracy, for which its run
is made again (some minutes). Results that no longer belong to any weights are removed.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from analyses.experiment import Experiment, catalogue
from analyses.experiment.subjects import OfModel
from interp.checkpoints import shipped_models
from interp.support.cli import run_command
from interp.support.errors import UserError

PROG = "python -m analyses.ship"
MORE = ("reduce_blanks",)
"""Those of one model that no page offers as a section, and that are shipped all the same."""
ALSO = ("replication", "runs.checkpoint_sweep", "runs.variance_shift", "crash")
"""Those of no model."""


@dataclass(frozen=True)
class ShipArgs:
    """Compute the results that are shipped with the package."""

    only: tuple[str, ...] = ()  # names of experiments (default: all that are shipped)
    models: tuple[str, ...] = ()  # shipped models (default: all)
    again: bool = False  # also those that are there already

    def __post_init__(self) -> None:
        catalogue.check_names(self.only, [*of_models(), *map(catalogue.experiment, ALSO)])
        if unknown := [name for name in self.models if name not in shipped_models()]:
            raise UserError(f"--models: no shipped model {unknown[0]!r}")


def of_models() -> list[Experiment]:
    """Experiments of one model whose results are shipped."""
    found = catalogue.experiments().values()
    on_pages = [one for one in found if one.on_page and one.about is OfModel]
    return [*on_pages, *map(catalogue.experiment, MORE)]


def main(argv: Sequence[str] | None = None) -> None:
    run_command(ShipArgs, _run, PROG, argv)


def _run(args: ShipArgs) -> None:
    # Opened by name: it imports torch and all, which waits until flags are known to be good.
    importlib.import_module("analyses.ship.make").ship_command(args)
