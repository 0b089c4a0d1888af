"""What every analysis shares on the command line: flags, progress, and where results go."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp import files
from interp.checkpoints import LoadedModel, load_model
from interp.cli import note
from interp.device import Device, pick_device
from interp.figures import write_html
from interp.manifest import manifest

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class CommonArgs:
    """Flags of every analysis."""

    model: str = "blanks"  # a shipped model, a run folder or a checkpoint
    seed: int = 0  # of the lists that are sampled, and of bootstrap intervals
    device: Device = "auto"  # where the model runs
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there


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
    return out / analysis / "-".join([label, *parts])


@contextmanager
def progress_bar(total: int, words: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal; yields the function that advances it."""
    from tqdm import tqdm

    with tqdm(total=total, desc=words, disable=not sys.stderr.isatty(), leave=False) as bar:
        yield lambda done: (bar.update(done), None)[1]


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began
