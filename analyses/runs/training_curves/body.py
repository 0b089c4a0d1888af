"""Reads what was logged, and says how far each run came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from analyses.runs.training_curves import CurvesSettings
from analyses.runs.training_curves.figure import arms_figure, runs_figure
from analyses.runs.training_curves.result import Logged, RunCurves, read_run
from interp.support.errors import UserError
from interp.support.progress import Progress
from training.studies.results import RunResult, StudyResults, load_results


def compute(subject: None, settings: CurvesSettings, seed: int, progress: Progress) -> Logged:
    """The curves that the settings name.

    Raises:
        UserError: if they name none, or both runs and a study.
    """
    if bool(settings.runs) == (settings.study is not None):
        raise UserError("give runs, or --study FOLDER")
    return Logged(
        runs=tuple(read_run(name) for name in settings.runs),
        study=None if settings.study is None else load_results(settings.study),
        log=settings.log,
    )


def figure(found: Logged) -> go.Figure:
    """The runs' curves, or the study's arms."""
    if found.study is None:
        return runs_figure(found.runs, found.log)
    return arms_figure(found.study, found.log)


def rows(found: Logged) -> list[dict[str, Any]]:
    """Every point of the figure."""
    return run_rows(found.runs) if found.study is None else arm_rows(found.study)


def summary(found: Logged) -> list[str]:
    """How far each run is, or the share of convergent runs of each arm."""
    return run_words(found.runs) if found.study is None else arm_words(found.study)


def to_json(found: Logged) -> dict[str, Any]:
    """The result as data."""
    return {"rows": rows(found)}


def run_rows(runs: Sequence[RunCurves]) -> list[dict[str, Any]]:
    """Every point of the figure: run, curve, step, value."""
    return [
        {"run": run.name, "curve": name, "step": step, "value": value}
        for run in runs
        for name, curve in (("batch", run.batch), ("held_out", run.held_out), ("loss", run.loss))
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]


def run_words(runs: Sequence[RunCurves]) -> list[str]:
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


def arm_words(results: StudyResults) -> list[str]:
    """The share of convergent runs, arm by arm."""
    return [
        f"{arm.name}: {_arm_in_words(results, results.of(arm.name))}" for arm in results.plan.arms
    ]


def _arm_in_words(results: StudyResults, runs: Sequence[RunResult]) -> str:
    ended = [run for run in runs if run.summary is not None]
    more = f"; {len(runs) - len(ended)} not ended" if len(runs) > len(ended) else ""
    if not ended:
        return f"no run has ended{more}"
    outcome = results.outcome(ended[0].arm)
    share = outcome.share().percent(0)
    return f"{outcome.convergent()} of {outcome.n} convergent = {share}{more}"
