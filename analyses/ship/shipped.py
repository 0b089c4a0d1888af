"""Results over many lists that come with the package: of the shipped models, and of a study.

    found = shipped(experiment("which_program"), "162a6890427d9789")
    found.words[-1], found.figure, found.json["agreement"]

``python -m analyses.ship`` makes them, one file for each experiment and model, in
``analyses/ship/results``. A file is found by what its numbers depend on: the experiment, the hash
of the weights, the settings and the seed. It also says which source computed it; where that is no
longer this one, :attr:`Shipped.is_current` is false, and whoever shows the result says so.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.experiment import Experiment
from interp.support import files
from interp.support.lazy import lazy_import
from interp.support.strict_json import parse_json

if TYPE_CHECKING:
    import plotly.graph_objects as go
else:
    go = lazy_import("plotly.graph_objects")

FOLDER = Path(__file__).resolve().parent / "results"
SEED = 0


@dataclass(frozen=True, eq=False)
class Shipped:
    """A result as :class:`analyses.experiment.Outcome` has it, read from its file."""

    record: Mapping[str, Any]

    @property
    def words(self) -> list[str]:
        """Lines for people; the last one is the finding."""
        return list(self.record["words"])

    @cached_property
    def figure(self) -> go.Figure:
        """A Plotly figure; a copy for whoever changes it."""
        return go.Figure(self.record["figure"], skip_invalid=True)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table behind the figure."""
        return list(self.record["rows"])

    @property
    def json(self) -> dict[str, Any]:
        """The result as data."""
        return dict(self.record["json"])

    @property
    def seconds(self) -> float:
        """How long it took where it was made, on one core."""
        return float(self.record["seconds"])

    @property
    def command(self) -> str:
        """What makes it again."""
        return str(self.record["command"])

    @property
    def is_current(self) -> bool:
        """Whether the experiment's source is the one that computed it."""
        return bool(self.record["source"] == source_of(str(self.record["experiment"])))


def shipped(
    experiment: Experiment, subject: str, settings: Any = None, seed: int = SEED
) -> Shipped | None:
    """The result that is shipped of an experiment; None where there is none.

    Args:
        subject: the hash of a model's weights, ``study NAME``, or of a run (:func:`run_subject`,
            :func:`course_subject`).
        settings: default: the experiment's.
    """
    path = path_of(experiment.name, subject)
    if not path.is_file():
        return None
    found = _read(path, path.stat().st_mtime_ns)
    asked = as_data(asdict(experiment.settings if settings is None else settings))
    same = found.record["settings"] == asked and found.record["seed"] == seed
    return found if same else None


def run_subject(plan: str, arm: str, seed: int) -> str:
    """What a result of one run of a plan is of."""
    return f"run {plan} {arm} {seed}"


def course_subject(run: str) -> str:
    """What a result of all checkpoints of a shipped run is of."""
    return f"run {run}"


def path_of(name: str, subject: str) -> Path:
    """``analyses/ship/results/which_program/162a6890427d9789.json.gz``"""
    return FOLDER / name / f"{subject.replace(' ', '-')}.json.gz"


@cache
def _read(path: Path, stamp: int) -> Shipped:
    del stamp  # part of the key alone
    return Shipped(parse_json(gzip.decompress(path.read_bytes()).decode()))


def write(path: Path, record: Mapping[str, Any]) -> None:
    """The same record gives the same bytes."""
    text = json.dumps(as_data(record), separators=(",", ":"), allow_nan=False)
    files.write_bytes(path, gzip.compress(text.encode(), mtime=0))


def as_data(value: Any) -> Any:
    """What strict JSON gives back: lists for tuples, None for what is no number."""
    if isinstance(value, Mapping):
        return {str(key): as_data(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_data(each) for each in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


@cache
def source_of(name: str) -> str:
    """A hash of what an experiment's folder computes: its code without comments and docstrings."""
    face = importlib.import_module(f"analyses.{name}")
    digest = hashlib.sha256()
    for path in sorted(Path(str(face.__file__)).parent.glob("*.py")):
        digest.update(f"{path.name} {_code(path.read_text(encoding='utf-8'))}".encode())
    return digest.hexdigest()[:16]


def _code(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
