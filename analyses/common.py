"""What every analysis is, and what all share on the command line.

An analysis is a module with a frozen config, ``compute(model, config, seed, progress) -> Result``,
``figure(result)``, ``summary(result)`` (lines of words, the last one the finding) and
``to_json(result)``. It states them once, in an :class:`Analysis`, and its ``main`` is then

    def main(argv: Sequence[str] | None = None) -> None:
        run_analysis(ANALYSIS, AblateArgs, argv)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.deliver import publish, result_folder
from interp.checkpoints import LoadedModel, load_model
from interp.support.bars import progress_bar
from interp.support.cli import run_command
from interp.support.device import Device, pick_device
from interp.support.errors import UserError

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


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began
