"""Which models the page may open.

Whoever starts the server decides: the shipped models, ``./runs``, and more folders through

    streamlit run app.py -- --models ~/experiments --models /data/imported
    SORTSCOPE_MODELS=~/experiments:/data/imported streamlit run app.py

A visitor chooses among the models in these folders, or types a path inside one of them. Any other
path is refused with one and the same message, whether or not there is something.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from interp.checkpoints import (
    PRETRAINED,
    WEIGHTS,
    compiled_names,
    find_checkpoint,
    run_checkpoints,
    shipped_models,
)
from interp.errors import UserError

VARIABLE = "SORTSCOPE_MODELS"
RUNS = Path("runs")
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
        return [*shipped, *compiled_names(), *own][:_MOST_CHOICES]

    def _models(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from (path for path in (folder, *_subfolders(folder)) if _holds_model(path))

    def find(self, name: str) -> Path:
        """The folder with the weights of a shipped model or of a path inside ``folders``.

        Raises:
            UserError: if there is none, or it lies elsewhere; saying what may be opened.
        """
        if name in shipped_models():
            return PRETRAINED / name
        try:
            if not self._allowed(Path(name)):
                raise UserError(self._refusal(name))
            found = find_checkpoint(name).resolve()
        except (OSError, ValueError) as error:  # too long a name, a zero byte
            if isinstance(error, UserError):
                raise
            raise UserError(self._refusal(name)) from None
        if not self._allowed(found):
            raise UserError(self._refusal(name))
        return found

    def _allowed(self, path: Path) -> bool:
        # Resolved, so that neither ".." nor a symbolic link leads out.
        return any(path.resolve().is_relative_to(folder.resolve()) for folder in self.folders)

    def _refusal(self, name: str) -> str:
        shown = name if len(name) <= 80 else name[:80] + "…"
        shipped = ", ".join(shipped_models()) or "none"
        folders = ", ".join(str(folder) for folder in self.folders) or "none"
        return (
            f"{shown!r} is no model that this page may open. Shipped models: {shipped}. Folders: "
            f"{folders}. Whoever starts the page can add folders with --models DIR."
        )


def places_from(arguments: Sequence[str], environment: Mapping[str, str]) -> Places:
    """What the server was started with: ``--models DIR`` (repeatable) and the variable.

    Raises:
        UserError: for any other argument, and for a folder that is not there.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--models", action="append", default=[], metavar="DIR")
    given = [
        *parser.parse_args(arguments).models,
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
        raise UserError(f"the page was started wrongly: {message}; it takes --models DIR")


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:  # not there yet, or closed to us
        return []


def _holds_model(path: Path) -> bool:
    return (path / WEIGHTS).is_file() or bool(run_checkpoints(path))
