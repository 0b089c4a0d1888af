"""Where results go, and how: each into a folder of its own, whole, and printed whatever happens.

results/patch_blanks/blanks/                                     a shipped model
results/patch_blanks/0001-stable-blanks-s0-step-000500-162a6890/ a checkpoint of a run
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from interp.checkpoints import LoadedModel, shipped_checkpoints, shipped_models
from interp.figures import write_html
from interp.lists import Symbols
from interp.support import files
from interp.support.cli import note, say
from interp.support.errors import UserError
from interp.support.manifest import manifest
from interp.support.strict_json import without_nan


def publish(
    as_json: bool,
    folder: Path,
    figure: Callable[[], go.Figure],
    data: dict[str, Any],
    words: Sequence[str],
    about: dict[str, Any],
    more: Mapping[str, str] | None = None,
) -> None:
    """Print a result, and write ``figure.html``, ``result.json`` and ``manifest.json``, each
    atomically. Whichever of the two fails, a full disk or a reader that left, the other is done.

    Args:
        about: what the manifest says beside the arguments, versions and machine.
        more: text of further files, by their names.
    """
    data = without_nan(data)
    try:
        say(json.dumps(data) if as_json else "\n".join(words))
    finally:
        for name, text in (more or {}).items():
            files.write_text(folder / name, text)
        write_html(figure(), folder / "figure.html")
        files.write_json(folder / "result.json", data)
        files.write_json(folder / "manifest.json", {**manifest(), **about})
        note(f"wrote {folder}/figure.html, result.json, manifest.json")


def result_folder(out: Path, analysis: str, loaded: LoadedModel, *parts: str) -> Path:
    """``results/patch_blanks/blanks``: one folder for each analysis and model."""
    return out / analysis / folder_name(model_label(loaded), *parts)


def model_label(loaded: LoadedModel) -> str:
    """A model as the name of a folder: ``blanks``, ``0001-stable-blanks-s0-step-000500-162a6890``.

    Names of shipped models say which they are. Two runs may have the same name, as may their
    checkpoints, so what was named by its path is told apart by its weights.
    """
    if loaded.folder is None or loaded.name in (*shipped_models(), *shipped_checkpoints()):
        return loaded.name.replace(":", "-")
    folder = loaded.folder.resolve()
    run = [folder.parents[1].name] if folder.parent.name == "checkpoints" else []
    return "-".join([*run, folder.name, loaded.hash[:_HASH_DIGITS]])


def path_label(path: Path) -> str:
    """A run or a study as the name of a folder; paths of the same last part are told apart."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    return f"{path.resolve().name}-{digest[:_HASH_DIGITS]}"


def study_folder(out: Path, name: str, study: Path) -> Path:
    """``out/name`` for the results of a study, unless those of another study lie there."""
    try:
        there = files.read_object(out / name / "manifest.json").get("study")
        other = isinstance(there, str) and Path(there).resolve() != study.resolve()
    except UserError:  # there is nothing, or nothing of ours
        other = False
    return out / (f"{name}-{path_label(study)}" if other else name)


def list_label(values: Sequence[int], symbols: Symbols) -> str:
    """``314``; of numbers that may have two figures ``3-1-14``: 12 3 and 1 23 are two lists."""
    return ("" if symbols.run_together else "-").join(map(str, values))


def flag_label(name: str, value: object) -> str:
    """``do-zero-3-10``: what was asked, in the name of a folder. Values that differ in signs that a
    name cannot hold are told apart by a hash."""
    text = f"{name}-{value}"
    label = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
    if re.fullmatch(r"[A-Za-z0-9.:_-]*", text):
        return label
    return f"{label}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]}"


def folder_name(*parts: str) -> str:
    """Parts of a name joined by hyphens; where it would be too long, its end is a hash of all."""
    name = "-".join(part for part in parts if part)
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
    kept = name.encode()[: _LONGEST_NAME - 1 - _HASH_DIGITS].decode(errors="ignore")
    return f"{kept}-{digest}"


_HASH_DIGITS = 8
_LONGEST_NAME = 150  # bytes; file systems take 255, and a temporary name is longer
