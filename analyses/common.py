"""What every analysis is, and what all share on the command line.

An analysis is a module with a frozen config, ``compute(model, config, seed, progress) -> Result``,
``figure(result)``, ``summary(result)`` (lines of words, the last one the finding) and
``to_json(result)``. It states them once, in an :class:`Analysis`, and its ``main`` is then

    def main(argv: Sequence[str] | None = None) -> None:
        run_analysis(ANALYSIS, AblateArgs, argv)
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.checkpoints import LoadedModel, load_model
from interp.figures import write_html
from interp.support import files
from interp.support.cli import note, run_command
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
    """Write figure, result and manifest, and print the result in words or as JSON."""
    data = record(analysis, args.config, args.seed, loaded, result)
    save_result(folder, analysis.figure(result), data, loaded, seconds)
    print(json.dumps(data) if args.json else "\n".join(data["finding"]))


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


def save_result(
    folder: Path, figure: go.Figure, result: dict[str, Any], loaded: LoadedModel, seconds: float
) -> None:
    """``figure.html``, ``result.json`` and ``manifest.json``, each written atomically."""
    write_html(figure, folder / "figure.html")
    files.write_json(folder / "result.json", result)
    files.write_json(
        folder / "manifest.json",
        {
            **manifest(),
            "model": {"name": loaded.name, "hash": loaded.hash},
            "seconds": round(seconds, 2),
        },
    )
    note(f"wrote {folder}/figure.html, result.json, manifest.json")


def result_folder(out: Path, analysis: str, loaded: LoadedModel, *parts: str) -> Path:
    """``results/patch_blanks/blanks``: one folder for each analysis and model."""
    label = Path(loaded.name).resolve().name if "/" in loaded.name else loaded.name
    return out / analysis / "-".join([label.replace(":", "-"), *parts])


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
