"""Runs as the pages know them: which there are, what they logged, and their checkpoints.

    names = run_names(places)               # of runs with a curve: shipped, folders', studies'
    curves(places, names[0])                # what it logged, read again only when its file changes
    with_checkpoints(places)                # those that a slider can go through
    with_drops(places)                      # those whose accuracy has fallen

A run of a study's results, which are kept without weights, is named by the folder that it had:
``docs/studies/quick/blanks/seed-0000``.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analyses.crash.drops import first_drop
from analyses.runs.training_curves.result import (
    RunCurves,
    exported_run,
    read_folder,
    study_run_names,
)
from explorer.server.places import Places, files_of, one_message
from interp.checkpoints import METRICS
from interp.support.errors import UserError
from training.runs import RUN_CONFIG
from training.studies.results import StudyResults, load_results


def run_names(places: Places) -> list[str]:
    """Runs whose curves can be drawn."""
    names = [name for name in places.runs() if _logged(places, name)]
    for study in places.studies():
        try:
            names += study_run_names(study, study_results(places, study))
        except UserError:  # half written, or of a newer version: the others are there
            continue
    return list(dict.fromkeys(names))


def _logged(places: Places, name: str) -> bool:
    try:
        return (places.find_run(name) / METRICS).is_file()
    except UserError:
        return False


def with_checkpoints(places: Places) -> list[str]:
    """Runs that have checkpoints to slide through."""
    return [name for name in places.runs() if _steps(places, name)]


def _steps(places: Places, name: str) -> dict[int, str]:
    try:
        return places.checkpoints(name)
    except UserError:
        return {}


def with_drops(places: Places) -> list[str]:
    """Runs in the folders that can be made again, and whose accuracy has fallen."""
    return [name for name in places.own_runs() if _drops(places, name)]


def _drops(places: Places, name: str) -> bool:
    try:
        folder = places.find_run(name)
        stamps = tuple((folder / file).stat().st_mtime_ns for file in (RUN_CONFIG, METRICS))
    except (UserError, OSError):
        return False
    return _falls(str(folder), stamps)


@st.cache_data(max_entries=200, show_spinner=False)
def _falls(folder: str, stamps: tuple[int, ...]) -> bool:
    try:
        first_drop(Path(folder))
    except UserError:  # no drop, or no run that could be made again
        return False
    return True


def curves(places: Places, name: str) -> RunCurves:
    """What a run logged.

    Raises:
        UserError: if there is no such run, or its log cannot be read.
    """
    path = Path(name)
    for study in places.studies():
        if path.parent.parent == Path(study) and not (path / METRICS).is_file():
            seed = path.name.removeprefix("seed-")
            results = study_results(places, study)
            return exported_run(results, path.parent.name, int(seed) if _number(seed) else -1, name)
    folder = places.find_run(name)
    log = folder / METRICS
    with one_message(name, folder):
        return _read(str(folder), log.stat().st_mtime_ns if log.is_file() else 0, name)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


@st.cache_data(max_entries=200, show_spinner=False)
def _read(folder: str, stamp: int, name: str) -> RunCurves:
    return read_folder(Path(folder), name)


def study_results(places: Places, study: str) -> StudyResults:
    """The results of a study.

    Raises:
        UserError: if there is no such study, or it cannot be read.
    """
    folder = places.find_study(study)
    with one_message(study, folder):
        stamps = {str(p): p.stat().st_mtime_ns for p in files_of(folder) if p.is_file()}
        return _study(str(folder), tuple(sorted(stamps.items())))


@st.cache_resource(max_entries=20, show_spinner=False)
def _study(folder: str, stamps: tuple[tuple[str, int], ...]) -> StudyResults:
    return load_results(Path(folder))
