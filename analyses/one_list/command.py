"""What the commands about one list share: ``analyses.one_list.answer.body`` and its siblings.

They make the figures that the explorer shows of the list in its sidebar, so that a figure from the
page can be made again by typing:

    python -m analyses.one_list.attention --model blanks --list 3,1,4 --do zero:3-10
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from analyses.common import CommonArgs, Stopwatch, open_model, result_folder, save_result
from interp.answers.treatment import Treatment
from interp.support.cli import run_command

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.model import SortTransformer


@dataclass(frozen=True)
class OneListArgs(CommonArgs):
    """Flags of every command about one list."""

    list: str = "3,1,4,1,5,9,2,6,5,3"  # the list to sort, as 3,1,4 or 314
    do: str = ""  # what is done to the model: zero:3-10, transplant:0-47:31415, ... (none)


@dataclass(frozen=True)
class Seen:
    """What there is to see of one list."""

    figure: go.Figure
    rows: Sequence[Mapping[str, Any]]
    """The numbers behind the figure, a row each."""
    words: Sequence[str]
    """Lines that say what it shows."""


Look = Callable[["SortTransformer", tuple[int, ...], Treatment, Any], Seen]
"""``look(model, digits, treatment, args)``"""


def run_one_list(look: Look, args_type: Any, name: str, argv: Sequence[str] | None = None) -> None:
    """The whole command: parse, look, write, print."""
    prog = f"python -m analyses.{name}"
    run_command(args_type, partial(_command, look, name), prog, argv)


def _command(look: Look, name: str, args: Any) -> None:
    watch, loaded = Stopwatch(), open_model(args)
    digits = loaded.model.task.parse(args.list)
    treatment = Treatment.parse(args.do)
    treatment.check(loaded.model.config, len(digits))
    seen = look(loaded.model, digits, treatment, args)
    asked = {key: value for key, value in asdict(args).items() if key not in ("out", "json")}
    data = {
        "analysis": name,
        **asked,
        "model_hash": loaded.hash,
        "intervention": treatment.words(loaded.model.task),
        "rows": [dict(row) for row in seen.rows],
        "finding": list(seen.words),
    }
    folder = result_folder(args.out, name, loaded, "".join(map(str, digits)), *_asked_for(args))
    save_result(folder, seen.figure, data, loaded, watch.seconds())
    print(json.dumps(data) if args.json else "\n".join(seen.words))


def _asked_for(args: Any) -> list[str]:
    """``do-zero-3-10``, ``step-4``: a folder's name tells apart what was asked of one list."""
    shared = {field.name for field in fields(CommonArgs)} | {"list"}
    return [
        re.sub(r"[^A-Za-z0-9.]+", "-", f"{field.name}-{getattr(args, field.name)}").strip("-")
        for field in fields(args)
        if field.name not in shared and getattr(args, field.name) != field.default
    ]
