"""The sequence of tokens, on every page that shows a list: look at one, and see where attention
goes from it and comes to it; play the answer; take a blank away by a click.

    clicked = sequence(task, said, attention, key="sort sequence", tools=intervening(view))

Everything is drawn in the browser (``tokens.js``) from one dictionary, :func:`described`. Looking
around asks nothing of the server; a click that changes what the page shows comes back as
:class:`Clicked`, to a callback, before the page is drawn anew.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from analyses.one_list.answers import Answer, Attention, Output
from explorer.parts.elements import share
from interp.task import Region, SortTask

REGION_SYMBOLS = {
    Region.DIGITS: "▲",
    Region.SEP: "■",
    Region.BLANKS: "○",
    Region.LAST_BLANK: "◆",
    Region.OUTPUTS: "●",
}
"""Beside the regions' colours, for who does not see those."""
LEVELS = 255
"""Attention is sent as whole numbers up to this: to 0.4 % of a row."""


@dataclass(frozen=True)
class Tool:
    """What a click on a blank does: its name in what comes back, and words for people."""

    name: str
    title: str
    explained: str


@dataclass(frozen=True)
class Clicked:
    """What came back: a tool and the blanks it was used on, or a step that was gone to."""

    tool: str = ""
    blanks: tuple[int, ...] = ()
    step: int | None = None


def sequence(
    task: SortTask,
    said: Answer,
    attention: Attention,
    *,
    key: str,
    touched: Collection[int] = (),
    step: int | None = None,
    head: tuple[int, int] | None = None,
    tools: Sequence[Tool] = (),
    on_click: Callable[[Clicked], None] | None = None,
) -> bool:
    """Draw it.

    Args:
        said: the answer; it is what the outputs show.
        attention: along that answer.
        touched: positions that are intervened on.
        step: the output that is being said; None for the whole answer.
        head: layer and head whose attention is shown at first; None for the mean of all.
        tools: what a click on a blank may do, besides looking; a single one is in hand at first.
        on_click: is told what was clicked, before anything is drawn anew.

    Returns:
        whether a tool was used, of which ``on_click`` was told: where this is drawn in a fragment,
        the rest of the page is still to be drawn anew.
    """
    data = described(task, said, attention, touched, step, head, tools)
    told = {} if on_click is None else {k: _telling(key, k, on_click) for k in ("used", "gone")}
    callbacks = {f"on_{kind}_change": tell for kind, tell in told.items()}
    found = _component()(key=key, data=_without_lists(data), **callbacks)
    return on_click is not None and found.used is not None


def _telling(key: str, kind: str, on_click: Callable[[Clicked], None]) -> Callable[[], None]:
    def tell() -> None:
        if (clicked := read(kind, st.session_state[key][kind])) is not None:
            on_click(clicked)

    return tell


def read(kind: str, came: Any) -> Clicked | None:
    """What the browser sent, if it is what ``tokens.js`` sends: it may be anybody's."""
    if kind == "gone" and type(came) is int:
        return Clicked(step=came)
    if kind == "used" and isinstance(came, Mapping):
        tool, blanks = came.get("tool"), came.get("blanks")
        if not isinstance(tool, str) or not isinstance(blanks, list):
            return None
        if all(type(blank) is int for blank in blanks):
            return Clicked(tool, tuple(blanks))
    return None


# -- what the browser is told -------------------------------------------------------------------


def described(
    task: SortTask,
    said: Answer,
    attention: Attention,
    touched: Collection[int] = (),
    step: int | None = None,
    head: tuple[int, int] | None = None,
    tools: Sequence[Tool] = (),
) -> dict[str, Any]:
    """All that ``tokens.js`` draws; positions are counted from the first that is no padding."""
    start, n_layers = attention.start, attention.pattern.shape[0]
    heads = [f"{layer}.{h}" for layer in range(n_layers) for h in range(attention.pattern.shape[1])]
    return {
        "regions": list(_regions(task, said)),
        "labels": [*attention.labels, f"out {len(said.outputs) - 1}: {said.outputs[-1].said}"],
        "touched": sorted(position - start for position in touched),
        "firstBlank": task.sep_pos + 1 - start,
        "nBlanks": task.n_blanks,
        "firstRow": task.first_output_row - start,
        "outputs": [_output(output) for output in said.outputs],
        "step": step,
        "heads": heads,
        "head": None if head is None else f"{head[0]}.{head[1]}",
        "n": len(attention.labels),
        "attention": packed(attention),
        "levels": LEVELS,
        "tools": [[tool.name, tool.title, tool.explained] for tool in tools],
        "tool": tools[0].name if len(tools) == 1 else "look",
    }


def packed(attention: Attention) -> str:
    """Every head's attention, row by row up to the diagonal, in bytes as base64."""
    n = len(attention.labels)
    rows = np.rint(attention.pattern.reshape(-1, n, n) * LEVELS).clip(0, LEVELS).astype(np.uint8)
    return base64.b64encode(rows[:, *np.tril_indices(n)].tobytes()).decode()


def _without_lists(data: dict[str, Any]) -> dict[str, Any]:
    """The same to the browser. A list, Streamlit asks whether it is a table, and imports pandas and
    pyarrow to ask; a tuple it sends as it is."""
    return {key: tuple(one) if isinstance(one, list) else one for key, one in data.items()}


def _output(output: Output) -> dict[str, Any]:
    return {
        "said": output.said,
        "right": output.right,
        "shouldBe": output.should_be,
        "share": share(output.probability),
    }


def _regions(task: SortTask, said: Answer) -> list[dict[str, Any]]:
    """Runs of tokens, each numbered from 0; the last blank goes on where the others end."""
    names = [output.said for output in said.outputs]
    blanks = ["_"] * task.n_blanks
    rows = (
        (Region.DIGITS, f"{task.symbols.word}s: the list", list(map(str, said.digits)), 0),
        (Region.SEP, "SEP", ["SEP"], 0),
        (Region.BLANKS, "blanks", blanks[:-1], 0),
        (Region.LAST_BLANK, "last blank", blanks[-1:], max(0, task.n_blanks - 1)),
        (Region.OUTPUTS, "outputs: the answer", names, 0),
    )
    return [
        {
            "kind": region.name.lower().replace("_", "-"),
            "name": name,
            "symbol": REGION_SYMBOLS[region],
            "tokens": tokens,
            "first": first,
        }
        for region, name, tokens, first in rows
        if tokens
    ]


@cache
def _component() -> Callable[..., Any]:
    """Registered with the server once, when it is first drawn."""
    here = Path(__file__)
    return st.components.v2.component(
        "sortscope_tokens",
        html='<div class="sequence"></div>',
        css=here.with_suffix(".css").read_text(encoding="utf-8"),
        js=here.with_suffix(".js").read_text(encoding="utf-8"),
        isolate_styles=False,  # so that what is measured of a page's words is measured here, too
    )
