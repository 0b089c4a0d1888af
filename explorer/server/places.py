"""Which models the page may open.

Whoever starts the server decides: the shipped models, ``./runs``, and more folders through

    streamlit run app.py -- --models ~/experiments --models /data/imported
    SORTSCOPE_MODELS=~/experiments:/data/imported streamlit run app.py

A visitor chooses among the models in these folders, or types a path inside one of them. Any other
path is refused with one and the same message, whether or not there is something. The same folders
hold the runs whose learning curves are shown; to them come the shipped runs (their checkpoints are
named ``NAME@500``) and, in a checkout, the results of the studies under ``docs/studies``.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interp.checkpoints import (
    CONFIG,
    EVALUATION,
    METRICS,
    PRETRAINED,
    WEIGHTS,
    checkpoint_step,
    compiled_names,
    find_checkpoint,
    run_checkpoints,
    shipped_checkpoints,
    shipped_folder,
    shipped_models,
    shipped_runs,
    shipped_task_models,
)
from interp.rules import read_rule
from interp.support.errors import UserError

_LOG = logging.getLogger(__name__)
VARIABLE = "SORTSCOPE_MODELS"
RUNS = Path("runs")
STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"
"""Results of studies, without weights; there in a checkout only."""
_OF_MODELS = (WEIGHTS, CONFIG, EVALUATION)
_PLAN = "plan.toml"  # a study's folder has one
_MOST_CHOICES = 200  # of the list that a visitor scrolls through
_FAVOURITE = "blanks"  # the shipped model that opens first


@dataclass(frozen=True)
class Places:
    """Folders that may be opened, besides the shipped models."""

    folders: tuple[Path, ...]

    def choices(self) -> list[str]:
        """What can be chosen without typing: shipped, compiled, then what the folders hold."""
        shipped = sorted(shipped_models(), key=lambda name: (name != _FAVOURITE, name))
        own = [str(path) for path in self._models()]
        there = [*shipped, *compiled_names(), *shipped_task_models(), *own]
        return there[:_MOST_CHOICES]

    def _models(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from (path for path in (folder, *_subfolders(folder)) if _holds_model(path))

    def find(self, name: str) -> Path:
        """The folder with the weights of a shipped model or of a path inside ``folders``.

        Raises:
            UserError: if there is none, or it lies elsewhere; saying what may be opened.
        """
        if (folder := shipped_folder(name)) is not None:
            return folder
        if name in (shipped := shipped_checkpoints()):
            return shipped[name]
        try:
            if not self._allowed(Path(name)):
                raise UserError(self._refusal(name))
            found = find_checkpoint(name).resolve()
        except (OSError, ValueError) as error:  # too long a name, a zero byte
            if isinstance(error, UserError):
                raise
            raise UserError(self._refusal(name)) from None
        # The files, too, may be links that lead out.
        if not all(map(self._allowed, (found, *(found / file for file in _OF_MODELS)))):
            raise UserError(self._refusal(name))
        return found

    def _allowed(self, path: Path, more: Sequence[Path] = ()) -> bool:
        # Resolved, so that neither ".." nor a symbolic link leads out.
        resolved = path.resolve()
        return any(resolved.is_relative_to(f.resolve()) for f in (*self.folders, *more))

    # -- runs and studies -----------------------------------------------------------------------

    def runs(self) -> list[str]:
        """Runs that can be chosen: shipped runs, shipped models with their curves, then what the
        folders hold, the runs of their studies too."""
        models = [name for name in shipped_models() if (PRETRAINED / name / METRICS).is_file()]
        return list(dict.fromkeys([*shipped_runs(), *models, *self.own_runs()]))[:_MOST_CHOICES]

    def own_runs(self) -> list[str]:
        """Those that the folders hold."""
        return [str(path) for path in self._runs()][:_MOST_CHOICES]

    def _runs(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from (path for path in (folder, *_subfolders(folder)) if _is_run(path))
        for study in self._studies():
            for arm in _subfolders(study):
                yield from (path for path in _subfolders(arm) if _is_run(path))

    def find_run(self, name: str) -> Path:
        """The folder of a run: with a learning curve, checkpoints, or both.

        Raises:
            UserError: if there is none, or it lies elsewhere.
        """
        if name in (shipped := shipped_runs()):
            return shipped[name]
        if (folder := shipped_folder(name)) is not None:
            return folder
        return self._inside(name, "run", _is_run)

    def checkpoints(self, run: str) -> dict[int, str]:
        """The names of a run's checkpoints, as :meth:`find` takes them, by step.

        Raises:
            UserError: as :meth:`find_run` does.
        """
        folders = run_checkpoints(self.find_run(run))
        steps = [checkpoint_step(folder) for folder in folders]
        if run in shipped_runs():
            return {step: f"{run}@{step}" for step in steps}
        return {
            step: str(Path(run) / folder.parent.name / folder.name)
            for step, folder in zip(steps, folders, strict=True)
        }

    def studies(self) -> list[str]:
        """Studies that can be chosen: those of the checkout, then what the folders hold."""
        shipped = [_from_here(path) for path in _subfolders(STUDIES) if _is_study(path)]
        return [*shipped, *(str(path) for path in self._studies())][:_MOST_CHOICES]

    def _studies(self) -> Iterator[Path]:
        for folder in self.folders:
            near = (folder, *_subfolders(folder), *_subfolders(folder / "studies"))
            yield from (path for path in near if _is_study(path))

    def find_study(self, name: str) -> Path:
        """The folder of a study, or of its results.

        Raises:
            UserError: if there is none, or it lies elsewhere.
        """
        return self._inside(name, "study", _is_study, (STUDIES,))

    def _inside(
        self, name: str, what: str, is_one: Callable[[Path], bool], more: Sequence[Path] = ()
    ) -> Path:
        try:
            if name and self._allowed(Path(name), more) and is_one(Path(name)):
                found = Path(name).resolve()
                if all(self._allowed(file, more) for file in files_of(found)):
                    return found
        except (OSError, ValueError):  # too long a name, a zero byte
            pass
        shown = name if len(name) <= 80 else name[:80] + "…"
        raise UserError(f"{shown!r} is no {what} that this page may open")

    def _refusal(self, name: str) -> str:
        shown = name if len(name) <= 80 else name[:80] + "…"
        shipped = ", ".join([*shipped_models(), *shipped_task_models()]) or "none"
        folders = ", ".join(str(folder) for folder in self.folders) or "none"
        return (
            f"{shown!r} is no model that this page may open. Shipped models: {shipped}. Folders: "
            f"{folders}. Whoever starts the page can add folders with --models DIR."
        )


def places_from(arguments: Sequence[str], environment: Mapping[str, str]) -> Places:
    """What the server was started with: ``--models DIR`` (repeatable) and the variable.

    Files that ``--task`` names (repeatable) are read: models whose task is in one can be opened.

    Raises:
        UserError: for any other argument, and for a folder or a task that is not there.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--models", action="append", default=[], metavar="DIR")
    parser.add_argument("--task", action="append", default=[], metavar="FILE.py")
    asked = parser.parse_args(arguments)
    for file in asked.task:
        read_rule(Path(file).expanduser())
    given = [
        *asked.models,
        *filter(None, environment.get(VARIABLE, "").split(os.pathsep)),
    ]
    folders = [Path(text).expanduser() for text in given]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"the page was started with {str(folder)!r}, which is no folder")
    return Places(tuple(dict.fromkeys([RUNS, *folders])))


class _Parser(argparse.ArgumentParser):
    """A mistake is for the page to show, and no reason to end the server."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(
            f"the page was started wrongly: {message}; it takes --models DIR and --task FILE.py"
        )


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:  # not there yet, or closed to us
        return []


def _holds_model(path: Path) -> bool:
    return (path / WEIGHTS).is_file() or bool(run_checkpoints(path))


def _is_run(path: Path) -> bool:
    return (path / METRICS).is_file() or bool(run_checkpoints(path))


def _is_study(path: Path) -> bool:
    return (path / _PLAN).is_file()


def files_of(folder: Path) -> Iterator[Path]:
    """The files that may be read of a run or a study, besides weights: each may be a link."""
    yield from (folder / METRICS, folder / _PLAN)
    for pattern in ("*.jsonl", "*/seed-*/*.json*"):
        yield from folder.glob(pattern)


@contextmanager
def one_message(name: str, folder: Path) -> Iterator[None]:
    """Whatever is wrong with a folder's files is one message, here, and names no place of the
    server's: what a visitor chose by ``name`` is called that.

    Raises:
        UserError: for any error within the block.
    """
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(folder), name[:80])) from None
    except OSError as error:  # gone meanwhile
        raise UserError(f"{name[:80]!r} cannot be opened: {error.strerror}") from None
    except Exception as error:  # damage of a kind that nobody has thought of
        _LOG.exception("%s cannot be opened", folder)
        raise UserError(f"{name[:80]!r} cannot be opened: {type(error).__name__}") from None


def _from_here(path: Path) -> str:
    """As one types it: a path below the current folder without what is above."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
