"""What runs logged while they trained, read for ``analyses.runs.training_curves``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from interp.checkpoints import METRICS, shipped_folder, shipped_models, shipped_runs
from interp.support.errors import UserError
from training.curves import Curve, read_curves
from training.runs import read_metrics
from training.studies.results import StudyResults, load_results

_SEED = re.compile(r"seed-(\d{1,9})")


@dataclass(frozen=True)
class RunCurves:
    """What one run logged. A curve without points was not kept."""

    name: str
    batch: Curve
    """Share of the training batch's lists without a mistake, before the update."""
    held_out: Curve
    """Exact match on the fixed held-out lists."""
    loss: Curve
    """Of the training batch, in nats a row."""


def read_run(name: str) -> RunCurves:
    """The curves of a run by its name or path, as the command takes it.

    Raises:
        UserError: if there is none.
    """
    if name in (shipped := shipped_runs()):
        return read_folder(shipped[name], name)
    if (folder := shipped_folder(name)) is not None:
        return read_folder(folder, name)
    path = Path(name)
    if (path / METRICS).is_file():
        return read_folder(path, name)
    if (match := _SEED.fullmatch(path.name)) and path.parent.with_suffix(".jsonl").is_file():
        study = load_results(path.parents[1])
        return exported_run(study, path.parent.name, int(match[1]), name)
    raise UserError(
        f"no learning curve of {name!r}: give a shipped run or model "
        f"({', '.join([*shipped_runs(), *shipped_models()]) or 'none'}), a run folder, or "
        "STUDY/ARM/seed-0000 of a study's export"
    )


def read_folder(folder: Path, name: str) -> RunCurves:
    """The curves in a run folder's ``metrics.jsonl``; empty ones where it has none.

    Raises:
        UserError: if the file holds something else.
    """
    try:
        rows = read_metrics(folder / METRICS)
    except UserError as error:
        reason = str(error).replace(str(folder / METRICS), METRICS)  # a page shows no such paths
        raise UserError(f"{name}: its {METRICS} is not the log of a run: {reason}") from None
    curves = read_curves(rows)
    kept = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    loss = Curve(tuple(step for step, _ in kept), tuple(value for _, value in kept))
    return RunCurves(name, curves.batch, curves.held_out, loss)


def exported_run(study: StudyResults, arm: str, seed: int, name: str) -> RunCurves:
    """One run of a study's results.

    Raises:
        UserError: if the study has no such run.
    """
    for run in study.runs:
        if (run.arm, run.seed) == (arm, seed):
            return RunCurves(name, run.curves.batch, run.curves.held_out, Curve((), ()))
    raise UserError(f"study {study.plan.name} has no run {arm}, seed {seed}")


def study_run_names(study: str, results: StudyResults) -> list[str]:
    """The runs of a study in ``study``, as :func:`read_run` takes them."""
    return [str(Path(study) / run.arm / f"seed-{run.seed:04d}") for run in results.runs]


@dataclass(frozen=True)
class Logged:
    """What is drawn: the curves of runs, or a study."""

    runs: tuple[RunCurves, ...]
    study: StudyResults | None
    log: bool
    """Steps on a logarithmic axis."""
