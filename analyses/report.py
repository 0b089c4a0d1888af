"""Every analysis of one model, in one file that opens offline.

    python -m analyses.report
    python -m analyses.report --model no-blanks
    python -m analyses.report --model runs/0001-stable-blanks-s0 --only ablate_blanks path_blanks

What each found stands on top, in words; below, every figure with what it does not show and the
command that makes it alone. Analyses of blanks are left out, with the reason, for a model that has
none. A report that was stopped goes on where it was: what was computed for the same weights, seed
and settings is not computed again (--fresh does so all the same).
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.catalogue import NAMES, analysis, caveat
from analyses.common import (
    Analysis,
    CommonArgs,
    Stopwatch,
    open_model,
    progress_bar,
    record,
    result_folder,
)
from interp.support import files
from interp.support.cli import note, run_command
from interp.support.errors import UserError
from interp.support.manifest import manifest

if TYPE_CHECKING:
    from interp.checkpoints import LoadedModel

PROG = "python -m analyses.report"


@dataclass(frozen=True)
class ReportArgs(CommonArgs):
    """Run every analysis on a model, and write one self-contained page."""

    only: tuple[str, ...] = ()  # some analyses by name (default: all)
    fresh: bool = False  # compute again what an earlier report left

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.only:
            if name not in NAMES:
                raise UserError(f"--only: no analysis {name!r}; there are {', '.join(NAMES)}")


@dataclass(frozen=True)
class Part:
    """One analysis of a report."""

    name: str
    title: str
    result: dict[str, Any] | None
    """The JSON of the result; None where the analysis says nothing about the model."""
    figure: dict[str, Any] | None
    left_out: str
    """Why there is no result."""
    seconds: float

    @property
    def finding(self) -> str:
        return self.result["finding"][-1] if self.result else f"Left out: {self.left_out}."


def main(argv: Sequence[str] | None = None) -> None:
    run_command(ReportArgs, report_command, PROG, argv)


def report_command(args: ReportArgs) -> None:
    watch, loaded = Stopwatch(), open_model(args)
    folder = result_folder(args.out, "report", loaded)
    parts = [make_part(args, loaded, folder, name) for name in args.only or NAMES]
    data: dict[str, Any] = {
        "model": loaded.name,
        "model_hash": loaded.hash,
        "seed": args.seed,
        "parts": {part.name: part.result for part in parts},
        "left_out": {part.name: part.left_out for part in parts if part.left_out},
        "finding": [f"{part.title}: {part.finding}" for part in parts],
    }
    about = {
        **manifest(),
        "model": {"name": loaded.name, "hash": loaded.hash},
        "seconds": round(watch.seconds(), 2),
        "seconds_of_parts": {part.name: part.seconds for part in parts},
    }
    files.write_text(folder / "report.html", page(loaded, args, parts, about))
    files.write_json(folder / "result.json", data)
    files.write_json(folder / "manifest.json", about)
    note(f"wrote {folder}/report.html, result.json, manifest.json")
    print(json.dumps(data) if args.json else "\n".join(data["finding"]))


# -- computing, and what is kept ----------------------------------------------------------------


def make_part(args: ReportArgs, loaded: LoadedModel, folder: Path, name: str) -> Part:
    """Compute an analysis, or take what an earlier report of the same things computed."""
    one = analysis(name)
    try:
        one.check(loaded.model)
    except UserError as error:
        return Part(name, one.title, None, None, str(error).split(",", 1)[0], 0.0)
    path = folder / "parts" / f"{name}.json"
    key = _key(one, args, loaded)
    if not args.fresh and (kept := _kept(path, key)):
        note(f"{name}: kept from an earlier report")
        return Part(name, one.title, kept["result"], kept["figure"], "", kept["seconds"])
    began = time.monotonic()
    note(f"{name} ...")
    with progress_bar() as progress:
        result = one.compute(loaded.model, one.config, args.seed, progress)
    data = record(one, one.config, args.seed, loaded, result)
    figure = json.loads(one.figure(result).to_json())
    seconds = round(time.monotonic() - began, 2)
    files.write_json(path, {"key": key, "result": data, "figure": figure, "seconds": seconds})
    note(f"{name}: {seconds:.0f} s")
    return Part(name, one.title, data, figure, "", seconds)


def _key(one: Analysis, args: ReportArgs, loaded: LoadedModel) -> str:
    """Of everything that a result depends on, the code included."""
    asked = [one.name, loaded.hash, args.seed, asdict(one.config), args.device, _code()]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _code() -> str:
    """A hash of the source of the library and of the analyses."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted([*(root / "interp").glob("*.py"), *(root / "analyses").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        kept = files.read_json(path)
    except UserError:  # left by somebody else; it will be written anew
        return None
    return kept if isinstance(kept, dict) and kept.get("key") == key else None


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
    from plotly.offline import get_plotlyjs

    name = html.escape(loaded.name)
    summary = "".join(
        f'<dt><a href="#{part.name}">{html.escape(part.title)}</a></dt>'
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
    heading = f'<h2 id="{part.name}">{html.escape(part.title)}</h2>'
    if part.result is None:
        return f"{heading}<p>{html.escape(part.finding)}</p>"
    words = "\n".join(part.result["finding"])
    command = f"{analysis(part.name).prog} --model {args.model} --seed {args.seed}"
    return (
        f"{heading}<p>{html.escape(part.finding)}</p>"
        f'<p class="caveat">What it does not show: {_rich(caveat(part.name))}</p>'
        f"{_figure_html(part)}"
        f"<details><summary>In numbers</summary><pre>{html.escape(words)}</pre></details>"
        f'<p class="about">Alone: <code>{html.escape(command)}</code></p>'
    )


def _rich(text: str) -> str:
    """Text of a docstring as HTML: what stands between backticks is code."""
    return re.sub(r"``(.+?)``", r"<code>\1</code>", html.escape(text))


def _figure_html(part: Part) -> str:
    import plotly.graph_objects as go
    import plotly.io

    return plotly.io.to_html(
        go.Figure(part.figure),
        include_plotlyjs=False,
        full_html=False,
        div_id=f"figure-{part.name}",
        config={"displaylogo": False, "responsive": True},
    )


if __name__ == "__main__":
    main()
