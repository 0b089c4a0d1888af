"""Learning curves, as they were logged: of any runs, or of a study's arms side by side.

    python -m analyses.training_curves blanks no-blanks
    python -m analyses.training_curves runs/0001-stable-blanks-s0 --log
    python -m analyses.training_curves docs/studies/quick/blanks/seed-0000
    python -m analyses.training_curves --study docs/studies/quick

A run is a shipped one or a shipped model by its name, a run folder, or a run of a study's compact
export by the folder that it had (``STUDY/ARM/seed-0000``). Every logged point is drawn and nothing
is smoothed: the accuracy of the training batch (whole lists, every 10 steps), exact match on the
held-out lists (every 100), and the loss where it was kept; an export keeps none.

What it does not show: what the weights do. That is ``analyses.checkpoint_sweep``'s business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from analyses.common import Stopwatch
from analyses.training_curves.figure import arms_figure, figure
from interp.checkpoints import METRICS, PRETRAINED, shipped_models, shipped_runs
from interp.figures import write_html
from interp.support import files
from interp.support.cli import note, run_command
from interp.support.errors import UserError
from interp.support.manifest import manifest
from training.studies.measures import Curve, read_curves

if TYPE_CHECKING:
    from training.studies.results import RunResult, StudyResults

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
    if name in shipped_models():
        return read_folder(PRETRAINED / name, name)
    path = Path(name)
    if (path / METRICS).is_file():
        return read_folder(path, name)
    if (match := _SEED.fullmatch(path.name)) and path.parent.with_suffix(".jsonl").is_file():
        from training.studies.results import load_results

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
    from training.runs import read_metrics

    try:
        rows = read_metrics(folder / METRICS)
        curves = read_curves(rows)
        kept = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    except (KeyError, TypeError, UnicodeDecodeError):
        raise UserError(f"{name}: its {METRICS} is not the log of a run") from None
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


# -- words and JSON -----------------------------------------------------------------------------


def rows(runs: Sequence[RunCurves]) -> list[dict[str, Any]]:
    """Every point of the figure: run, curve, step, value."""
    return [
        {"run": run.name, "curve": name, "step": step, "value": value}
        for run in runs
        for name, curve in (("batch", run.batch), ("held_out", run.held_out), ("loss", run.loss))
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]


def summary(runs: Sequence[RunCurves]) -> list[str]:
    """How far each run is, a line each."""
    return [_words(run) for run in runs]


def _words(run: RunCurves) -> str:
    parts = [
        f"{name} {100 * curve.values[-1]:.1f} % at step {curve.steps[-1]} "
        f"(highest {100 * max(curve.values):.1f} %)"
        for name, curve in (("training batch", run.batch), ("held-out", run.held_out))
        if curve.steps
    ]
    return f"{run.name}: {'; '.join(parts) or 'nothing was logged'}"


def arm_rows(results: StudyResults) -> list[dict[str, Any]]:
    """Every point of the arms' figure."""
    return [
        {
            "arm": run.arm,
            "seed": run.seed,
            "ended": run.summary is not None,
            "convergent": run.convergent,
            "curve": name,
            "step": step,
            "value": value,
        }
        for run in results.runs
        for name, curve in (("batch", run.curves.batch), ("held_out", run.curves.held_out))
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]


def arm_summary(results: StudyResults) -> list[str]:
    """The share of convergent runs, arm by arm."""
    return [f"{arm.name}: {_arm_words(results, results.of(arm.name))}" for arm in results.plan.arms]


def _arm_words(results: StudyResults, runs: Sequence[RunResult]) -> str:
    ended = [run for run in runs if run.summary is not None]
    more = f"; {len(runs) - len(ended)} not ended" if len(runs) > len(ended) else ""
    if not ended:
        return f"no run has ended{more}"
    outcome = results.outcome(ended[0].arm)
    share = outcome.share().percent(0)
    return f"{outcome.convergent()} of {outcome.n} convergent = {share}{more}"


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class CurvesArgs:
    """Draw learning curves, raw."""

    runs: Positional[tuple[str, ...]] = ()  # shipped names, run folders, STUDY/ARM/seed-0000
    study: Path | None = None  # instead: a study's folder or export, arm by arm
    log: bool = False  # steps on a logarithmic axis (step 0 has no place there)
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        if bool(self.runs) == (self.study is not None):
            raise UserError("give runs, or --study FOLDER")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(CurvesArgs, _command, "python -m analyses.training_curves", argv)


def _command(args: CurvesArgs) -> None:
    watch = Stopwatch()
    if args.study is not None:
        from training.studies.results import load_results

        study = load_results(args.study)
        drawn, table, words = arms_figure(study, args.log), arm_rows(study), arm_summary(study)
        folder = args.out / "training_curves" / f"study-{study.plan.name}"
    else:
        runs = [read_run(name) for name in args.runs]
        drawn, table, words = figure(runs, args.log), rows(runs), summary(runs)
        folder = args.out / "training_curves" / "-".join(Path(run.name).name for run in runs[:4])
    data = {"analysis": "training_curves", "rows": table, "finding": words}
    write_html(drawn, folder / "figure.html")
    files.write_json(folder / "result.json", data)
    files.write_json(folder / "manifest.json", {**manifest(), "seconds": round(watch.seconds(), 2)})
    note(f"wrote {folder}/figure.html, result.json, manifest.json")
    print(json.dumps(data) if args.json else "\n".join(words))


if __name__ == "__main__":
    main()
