"""Runs every analysis on a model, keeps what each found, and writes one page."""

from __future__ import annotations

import hashlib
import html
import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

import analyses
import interp
from analyses.experiment import Experiment, catalogue, runner
from analyses.experiment.deliver import result_folder
from analyses.report import ReportArgs
from interp.checkpoints import LoadedModel, load_model
from interp.figures import CONFIG, unlinked
from interp.support import files
from interp.support.bars import progress_bar
from interp.support.cli import note, say
from interp.support.device import pick_device
from interp.support.errors import UserError
from interp.support.fields import fits
from interp.support.manifest import manifest
from interp.support.strict_json import without_nan


@dataclass(frozen=True)
class Part:
    """One analysis of a report."""

    experiment: Experiment
    result: dict[str, Any] | None
    """The JSON of the result; None where the analysis says nothing about the model."""
    figure: dict[str, Any] | None
    left_out: str
    """Why there is no result."""
    seconds: float

    @property
    def finding(self) -> str:
        return self.result["finding"][-1] if self.result else f"Left out: {self.left_out}."


def carry_out(args: ReportArgs) -> None:
    """The whole command, once its flags are parsed."""
    watch, loaded = runner.Stopwatch(), load_model(args.model, pick_device(args.device))
    folder = result_folder(args.out, "report", loaded)
    chosen = [catalogue.experiment(name) for name in args.only] or catalogue.reported()
    parts = [make_part(args, loaded, folder, one) for one in chosen]
    data: dict[str, Any] = {
        "model": loaded.name,
        "model_hash": loaded.hash,
        "seed": args.seed,
        "parts": {part.experiment.name: part.result for part in parts},
        "left_out": {part.experiment.name: part.left_out for part in parts if part.left_out},
        "finding": [f"{part.experiment.title}: {part.finding}" for part in parts],
    }
    data = without_nan(data)
    about = {
        **manifest(),
        "model": {"name": loaded.name, "hash": loaded.hash},
        "seconds": round(watch.seconds(), 2),
        "seconds_of_parts": {part.experiment.name: part.seconds for part in parts},
    }
    try:
        say(json.dumps(data) if args.json else "\n".join(data["finding"]))
    finally:
        files.write_text(folder / "report.html", page(loaded, args, parts, about))
        files.write_json(folder / "result.json", data)
        files.write_json(folder / "manifest.json", about)
        note(f"wrote {folder}/report.html, result.json, manifest.json")


# -- computing, and what is kept ----------------------------------------------------------------


def make_part(args: ReportArgs, loaded: LoadedModel, folder: Path, one: Experiment) -> Part:
    """Compute an analysis, or take what an earlier report of the same things computed."""
    try:
        runner.check(one, loaded.model)
    except UserError as error:
        return Part(one, None, None, str(error).split(",", 1)[0], 0.0)
    name = one.name
    path = folder / "parts" / f"{name}.json"
    key = _key(one, args, loaded)
    if not args.fresh and (kept := _kept(path, key)):
        note(f"{name}: kept from an earlier report")
        return Part(one, kept["result"], kept["figure"], "", kept["seconds"])
    began = time.monotonic()
    note(f"{name} ...")
    with progress_bar() as progress:
        outcome = one.outcome(one.compute(loaded.model, None, args.seed, progress))
    asked = runner.model_record(loaded, args.seed, one.settings)
    data = without_nan(runner.record(runner.Opened(loaded.model, asked), outcome))
    figure = json.loads(unlinked(outcome.figure).to_json())
    seconds = round(time.monotonic() - began, 2)
    files.write_json(path, {"key": key, "result": data, "figure": figure, "seconds": seconds})
    note(f"{name}: {seconds:.0f} s")
    return Part(one, data, figure, "", seconds)


def _key(one: Experiment, args: ReportArgs, loaded: LoadedModel) -> str:
    """Of everything that a result depends on, the code included."""
    asked = [one.name, loaded.hash, args.seed, asdict(one.settings), args.device, code_hash()]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def code_hash() -> str:
    """A hash of the source of the library and of the analyses, wherever they lie."""
    folders = [Path(folder) for package in (interp, analyses) for folder in package.__path__]
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        kept = files.read_json(path)
    except UserError:  # left by somebody else; it will be written anew
        return None
    whole = isinstance(kept, dict) and all(fits(kept.get(name), t) for name, t in _KEPT.items())
    return kept if whole and kept["key"] == key else None


_KEPT: dict[str, type] = {"key": str, "result": dict, "figure": dict, "seconds": float}


# -- the page -----------------------------------------------------------------------------------

_STYLE = """
:root {color-scheme: light}
body {font: 16px/1.5 'Source Sans Pro', 'Segoe UI', Helvetica, Arial, sans-serif; color: #1d2733;
  background: #fff; max-width: 1160px; margin: 24px auto; padding: 0 20px}
h1 {font-size: 1.7rem; margin-bottom: .2rem} h2 {margin-top: 3rem; border-top: 1px solid #d5dae0;
  padding-top: 1.2rem} .about, .caveat {color: #4a5765} code, pre {background: #f2f4f7;
  border-radius: 4px; padding: 1px 5px; font-size: .88rem} pre {padding: 10px 14px;
  white-space: pre-wrap; overflow-wrap: anywhere} dt {font-weight: 600; margin-top: .7rem}
dd {margin: 0 0 0 0} a {color: #0b5394}
"""


def page(loaded: LoadedModel, args: ReportArgs, parts: list[Part], about: dict[str, Any]) -> str:
    """The whole report as HTML, with the library that draws the figures inside."""
    name = html.escape(loaded.name)
    summary = "".join(
        f'<dt><a href="#{part.experiment.name}">{html.escape(part.experiment.title)}</a></dt>'
        f"<dd>{html.escape(part.finding)}</dd>"
        for part in parts
    )
    sections = "".join(_section(args, part) for part in parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>sortscope: {name}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>"
        f"<h1>What the model {name} does, and how</h1>"
        f'<p class="about">Weights {loaded.hash}, seed {args.seed}, {about["time"]}. In brackets, '
        "95 % intervals. Each method is first shown to be right on sorters whose algorithm is "
        "known: <code>python -m analyses.known_answers</code>.</p>"
        f"<h2>Summary</h2><dl>{summary}</dl>{sections}"
        f"<h2>What this rests on</h2><pre>{html.escape(json.dumps(about, indent=2))}</pre>"
        "</body></html>"
    )


def _section(args: ReportArgs, part: Part) -> str:
    heading = f'<h2 id="{part.experiment.name}">{html.escape(part.experiment.title)}</h2>'
    if part.result is None:
        return f"{heading}<p>{html.escape(part.finding)}</p>"
    words = "\n".join(part.result["finding"])
    command = part.experiment.command(model=args.model, seed=args.seed)
    return (
        f"{heading}<p>{html.escape(part.finding)}</p>"
        f'<p class="caveat">What it does not show: {_rich(part.experiment.caveat)}</p>'
        f"{_figure_html(part)}"
        f"<details><summary>In numbers</summary><pre>{html.escape(words)}</pre></details>"
        f'<p class="about">Alone: <code>{html.escape(command)}</code></p>'
    )


def _rich(text: str) -> str:
    """Text of a docstring as HTML: what stands between backticks is code."""
    return re.sub(r"``(.+?)``", r"<code>\1</code>", html.escape(text))


def _figure_html(part: Part) -> str:
    return plotly.io.to_html(
        go.Figure(part.figure),
        include_plotlyjs=False,
        full_html=False,
        div_id=f"figure-{part.experiment.name}",
        config=CONFIG,
    )
