"""What every analysis is, and what all share on the command line.

An analysis is a module with a frozen config, ``compute(model, config, seed, progress) -> Result``,
``figure(result)``, ``summary(result)`` (lines of words, the last one the finding) and
``to_json(result)``. It states them once, in an :class:`Analysis`, and its ``main`` is then

    def main(argv: Sequence[str] | None = None) -> None:
        run_analysis(ANALYSIS, AblateArgs, argv)
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.checkpoints import LoadedModel, load_model, shipped_checkpoints, shipped_models
from interp.figures import write_html
from interp.support import files
from interp.support.cli import note, run_command, say
from interp.support.device import Device, pick_device
from interp.support.errors import UserError
from interp.support.manifest import manifest
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.model import SortTransformer


@dataclass(frozen=True)
class CommonArgs:
    """Flags of every analysis."""

    model: str = "blanks"  # a shipped model, compiled:NAME, a run folder or a checkpoint
    seed: int = 0  # of the lists that are sampled, and of bootstrap intervals
    device: Device = "auto"  # where the model runs
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, not {self.seed}")


@dataclass(frozen=True)
class Analysis:
    """One experiment: what it is called and the functions that make it."""

    name: str
    """Of the module and of the folder for its results: ``ablate_blanks``."""
    title: str
    """For people, in reports: ``Ablating the blanks``."""
    config: Any
    """The default config, a frozen dataclass."""
    compute: Callable[..., Any]
    """``compute(model, config, seed, progress)``; the same seed gives the same bits."""
    figure: Callable[[Any], go.Figure]
    summary: Callable[[Any], list[str]]
    """Words, a line each; the last line is the finding."""
    to_json: Callable[[Any], dict[str, Any]]
    needs_blanks: bool = True

    @property
    def prog(self) -> str:
        return f"python -m analyses.{self.name}"

    def check(self, model: SortTransformer) -> None:
        """Whether this analysis says anything about a model.

        Raises:
            UserError: if it is about blanks and the model has none.
        """
        if self.needs_blanks and not model.task.n_blanks:
            raise UserError(
                f"this model has no blanks, and {self.name} is about them; "
                "give a model that has some, like blanks"
            )


def run_analysis(analysis: Analysis, args_type: Any, argv: Sequence[str] | None = None) -> None:
    """The whole command: parse, compute, write, print."""
    run_command(args_type, partial(analysis_command, analysis), analysis.prog, argv)


def analysis_command(analysis: Analysis, args: Any) -> None:
    """Open the model, compute, and hand over the result."""
    watch, loaded = Stopwatch(), open_model(args)
    analysis.check(loaded.model)
    with progress_bar() as progress:
        result = analysis.compute(loaded.model, args.config, args.seed, progress)
    own = getattr(args.config, "own", ())  # a pair of lists that was asked for has its own folder
    folder = result_folder(args.out, analysis.name, loaded, *own)
    deliver(analysis, args, loaded, result, folder, watch.seconds())


def deliver(
    analysis: Analysis, args: Any, loaded: LoadedModel, result: Any, folder: Path, seconds: float
) -> None:
    """Print the result, in words or as JSON, and write it with its figure and manifest."""
    data = record(analysis, args.config, args.seed, loaded, result)
    about = {"model": {"name": loaded.name, "hash": loaded.hash}, "seconds": round(seconds, 2)}
    figure = partial(analysis.figure, result)
    publish(args.json, folder, figure, data, data["finding"], about)


def record(
    analysis: Analysis, config: Any, seed: int, loaded: LoadedModel, result: Any
) -> dict[str, Any]:
    """The JSON of a result: what was asked, of which model, what came out."""
    return {
        "analysis": analysis.name,
        "model": loaded.name,
        "model_hash": loaded.hash,
        "seed": seed,
        "config": asdict(config),
        **analysis.to_json(result),
        "finding": analysis.summary(result),
    }


def open_model(args: CommonArgs) -> LoadedModel:
    """The model that the flags ask for, on its device."""
    return load_model(args.model, pick_device(args.device))


def publish(
    as_json: bool,
    folder: Path,
    figure: Callable[[], go.Figure],
    data: dict[str, Any],
    words: Sequence[str],
    about: dict[str, Any],
) -> None:
    """Print a result, and write ``figure.html``, ``result.json`` and ``manifest.json``, each
    atomically. Whichever of the two fails, a full disk or a reader that left, the other is done.

    Args:
        about: what the manifest says beside the arguments, versions and machine.
    """
    try:
        say(json.dumps(data) if as_json else "\n".join(words))
    finally:
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


class _Bar(Progress):
    """A bar on stderr."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, total: int, words: str) -> None:
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(total=total, desc=words, leave=False, file=sys.stderr)

    def step(self, done: int = 1) -> None:
        self._bar.update(done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr where that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield SILENT
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began
