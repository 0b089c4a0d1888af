"""Make the results that come with the package (:mod:`analyses.ship.shipped`).

    python -m analyses.ship                                   # what is missing or out of date
    python -m analyses.ship --only which_program --models blanks --again

Of every shipped model, all experiments that a page offers and those that the page Home speaks of,
with the settings of their commands and seed 0; and the replication, of each study under
``docs/studies``. Results that no longer belong to any weights are removed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analyses.experiment import Experiment, catalogue
from analyses.ship.shipped import FOLDER, SEED, path_of, shipped, source_of, write
from interp.checkpoints import load_bare, shipped_models
from interp.support.cli import note, run_command
from interp.support.errors import UserError
from training.studies.results import load_with_others

PROG = "python -m analyses.ship"
STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"
MORE = ("reduce_blanks", "mechanism")
"""Those of one model that no page offers as a section, and that are shipped all the same."""
_OF_ALL_SORTERS = "truth"  # the page whose experiments are of no shipped model


@dataclass(frozen=True)
class ShipArgs:
    """Compute the results that are shipped with the package."""

    only: tuple[str, ...] = ()  # names of experiments (default: all that are shipped)
    models: tuple[str, ...] = ()  # shipped models (default: all)
    again: bool = False  # also those that are there already

    def __post_init__(self) -> None:
        catalogue.check_names(self.only, [*of_models(), catalogue.experiment("replication")])
        if unknown := [name for name in self.models if name not in shipped_models()]:
            raise UserError(f"--models: no shipped model {unknown[0]!r}")


@dataclass(frozen=True)
class Job:
    """One result to be made."""

    experiment: Experiment
    subject: str
    """A hash of weights, or ``study NAME``."""
    words: str
    """The same for people."""
    command: str
    open: Callable[[], Any]


def main(argv: Sequence[str] | None = None) -> None:
    run_command(ShipArgs, ship_command, PROG, argv)


def ship_command(args: ShipArgs) -> None:
    for job in jobs(args):
        there = shipped(job.experiment, job.subject)
        if args.again or there is None or not there.is_current:
            make(job)
    _sweep()


def of_models() -> list[Experiment]:
    """Experiments of one model whose results are shipped."""
    found = catalogue.experiments().values()
    on_pages = [one for one in found if one.on_page and one.on_page.page != _OF_ALL_SORTERS]
    return [*on_pages, *map(catalogue.experiment, MORE)]


def jobs(args: ShipArgs) -> Iterator[Job]:
    """What is to be there, models in turn."""
    for name in args.models or sorted(shipped_models()):
        loaded = load_bare(name)
        for one in of_models():
            if _wanted(one, args) and (loaded.model.task.n_blanks or not one.needs_blanks):
                command = one.command(model=name, seed=SEED)
                yield Job(one, loaded.hash, name, command, lambda model=loaded.model: model)  # type: ignore[misc]
    replication = catalogue.experiment("replication")
    for study in sorted(STUDIES.iterdir()) if _wanted(replication, args) else ():
        command = replication.command(study=f"docs/studies/{study.name}", seed=SEED)
        yield Job(
            replication,
            f"study {study.name}",
            study.name,
            command,
            lambda at=study: load_with_others(at),  # type: ignore[misc]
        )


def _wanted(one: Experiment, args: ShipArgs) -> bool:
    return not args.only or one.name in args.only


def make(job: Job) -> None:
    """Compute one result and write it; one that says nothing of this model is left out."""
    began, one = time.monotonic(), job.experiment
    try:
        outcome = one.outcome(one.compute(job.open(), None, SEED))
    except UserError as error:
        note(f"{one.name} of {job.words}: {error}")
        return
    seconds = round(time.monotonic() - began, 1)
    record = {
        "experiment": one.name,
        "subject": job.subject,
        "settings": asdict(one.settings),
        "seed": SEED,
        "source": source_of(one.name),
        "command": job.command,
        "seconds": seconds,
        "words": outcome.words,
        "json": outcome.json,
        "rows": outcome.rows,
        "figure": json.loads(outcome.figure.to_json()),
    }
    path = path_of(one.name, job.subject)
    write(path, record)
    note(f"{one.name} of {job.words}: {seconds:.0f} s, {path.stat().st_size / 1024:.0f} KB")


def _sweep() -> None:
    """Remove results of weights and studies that are no longer shipped."""
    known = {job.subject.replace(" ", "-") for job in jobs(ShipArgs())}
    for path in FOLDER.glob("*/*.json.gz"):
        if path.name.removesuffix(".json.gz") not in known:
            path.unlink()
