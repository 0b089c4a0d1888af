"""A figure and all that belongs beside it: what it shows, what it does not prove, and downloads.

    panel(figure, "attention", about_list(view, EXPERIMENT, settings), rows, shows, proves_not)

Every file says what it is of: the model and its hash, the seed, the list, and what was done.
"""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from explorer.parts.elements import sentences
from explorer.parts.pictures import pictures
from explorer.parts.speech import is_sorting, says
from interp.figures import CONFIG, GREY, copied, html_page, parts_retold, parts_unlinked

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The bar covers the end of a title: only the camera and the way back are worth that.
_NO_BUTTONS = ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"]

Rows = Sequence[Mapping[str, Any]]
"""A table: every row names its columns."""
OF_MANY = "nothing is changed but what the figure names"
"""The intervention of a figure that is not of the list in the sidebar."""


@dataclass(frozen=True)
class About:
    """What a figure was made from."""

    model: str
    model_hash: str
    digits: str
    """As ``3,1,4``; empty where the figure is not of one list."""
    intervention: str
    """In plain words."""
    seed: int
    command: str
    """What to type to get the same figure without the page."""

    @property
    def fields(self) -> dict[str, Any]:
        """For a file's head."""
        return {
            "model": self.model,
            "model_hash": self.model_hash,
            "list": self.digits,
            "intervention": self.intervention,
            "seed": self.seed,
            "command": self.command,
        }

    @property
    def lines(self) -> Sequence[str]:
        """Below the title of a figure, so that a picture says it, too."""
        of = f" · list {self.digits}" if self.digits else ""
        return [
            *_wrapped(f"{self.model} ({self.model_hash}) · seed {self.seed}{of}"),
            *_wrapped(self.intervention),
        ]


def panel(
    figure: go.Figure,
    key: str,
    of: About,
    rows: Rows | Callable[[], Rows],
    shows: str,
    proves_not: str,
) -> None:
    """Draw all of it.

    Args:
        key: of the figure on the page, and the name of its files.
        rows: the numbers behind the figure, or how to make them when they are asked for.
    """
    figure = ready(figure, of)
    image = {"format": "png", "filename": file_name(of, key), "scale": 2}
    st.plotly_chart(
        figure,
        theme="streamlit",
        width="stretch",
        key=key,
        alt=says(f"{_title(figure)}. It shows {shows}"),
        config={
            **CONFIG,
            "displayModeBar": "hover",
            "modeBarButtonsToRemove": _NO_BUTTONS,
            "toImageButtonOptions": image,
        },
    )
    with st.container(horizontal=True, key=f"about {key}"):
        sentences(shows, proves_not)
        downloads(lambda: figure, key, of, rows, drawn=True)


def ready(figure: go.Figure, of: About) -> go.Figure:
    """A copy as it may be seen: in the words of the task that is open, and saying what it is of."""

    def as_seen(parts: dict[str, Any]) -> dict[str, Any]:
        if not is_sorting():
            parts = parts_retold(parts, says)
        _name(parts["layout"], of)
        _leave_room(parts)
        return parts_unlinked(parts)

    return copied(figure, as_seen)


def downloads(
    figure: Callable[[], go.Figure],
    key: str,
    of: About,
    rows: Rows | Callable[[], Rows],
    drawn: bool = False,
) -> None:
    """The figure and its numbers to take along, and how to make it without the page.

    Args:
        figure: makes it, :func:`ready`, once it is asked for.
        drawn: whether the figure itself is on the page, by that key, so that it can be a picture.
    """

    def numbers() -> Rows:
        return rows() if callable(rows) else rows

    files: dict[str, tuple[str, str, Callable[[], str]]] = {
        "Page (HTML)": ("html", "text/html", lambda: html_page(figure())),
        "Table (CSV)": ("csv", "text/csv", lambda: as_csv(of, numbers())),
        "Data (JSON)": ("json", "application/json", lambda: as_json(of, numbers())),
    }
    with st.popover("Take it with you", icon=":material/download:", key=f"take {key}"):
        for label, (ending, mime, make) in files.items():
            st.download_button(
                label,
                make,  # when it is clicked
                file_name=f"{file_name(of, key)}.{ending}",
                mime=mime,
                key=f"{key} {ending}",
                on_click="ignore",
            )
        if drawn:
            pictures(key)
        st.caption("The same, typed:")
        st.code(of.command, language="sh", wrap_lines=True)


_LONGEST_PART = 60  # characters of a part of a file's name


def file_name(of: About, key: str) -> str:
    """``sortscope-blanks-31415-attention``: what a file is of, without its ending; numbers of two
    figures stand apart, as in ``12-3``, which is not ``1-23``."""
    numbers = of.digits.split(",")
    apart = "" if all(len(number) <= 1 for number in numbers) else "-"
    parts = ("sortscope", of.model, apart.join(numbers), key)
    safe = (re.sub(r"[^\w.@-]+", "-", part).strip("-.")[:_LONGEST_PART] for part in parts)
    return "-".join(part for part in safe if part)


def _name(layout: dict[str, Any], of: About) -> None:
    """Say below the title of a figure what it is of."""
    lines = of.lines
    more = _LINE * len(lines) + 8
    height, margin = layout.get("height") or 420, layout.get("margin", {})
    small = {"text": "<br>".join(lines), "font": {"size": 11, "color": GREY}}
    above = {"subtitle": small, "y": 1 - 26 / (height + more), "yref": "container"}
    layout["title"] = {**layout.get("title", {}), **above}
    layout["margin"] = {**margin, "t": margin.get("t", 60) + more}
    layout["height"] = height + more


def _leave_room(parts: dict[str, Any]) -> None:
    """Margins that hold the labels and the colour bar. Where they are too narrow, Plotly widens
    them and draws the figure a second time, a third of what a change of it takes."""
    layout, margin = parts["layout"], parts["layout"]["margin"]
    bar = any(one.get("type") == "heatmap" and one.get("showscale", True) for one in parts["data"])
    needed = {
        "l": _labels(layout.get("yaxis", {}), parts["data"]),
        "r": _SHARED_BAR if "coloraxis" in layout else _BAR if bar else 0,
        "b": _BELOW,
    }
    layout["margin"] = margin | {k: max(margin.get(k, 0), least) for k, least in needed.items()}


def _labels(axis: Mapping[str, Any], traces: Sequence[Mapping[str, Any]]) -> int:
    """Pixels that the labels of an axis at the left take, and its title."""
    first = [
        label for trace in traces[:1] for label in trace.get("y", ()) if isinstance(label, str)
    ]
    texts = (line for label in axis.get("ticktext", first) for line in str(label).split("<br>"))
    longest = max((len(_TAG.sub("", line)) for line in texts), default=0)
    return max(75, round(14 + 6.2 * longest)) + (30 if "title" in axis and longest > 5 else 12)


_TAG = re.compile("<[^>]*>")
_BELOW, _BAR, _SHARED_BAR = 75, 120, 132  # pixels; a bar with its title

_LINE = 15  # pixels
_WIDE = 56  # characters of a line that fits the narrowest figure


def _wrapped(text: str) -> list[str]:
    """Lines that fit; a long list is broken between its digits."""
    if len(text) <= _WIDE:
        return [text]
    loose = re.sub(r"(?<=\d),(?=\d)", ",\u200b ", text)
    lines = textwrap.wrap(loose, _WIDE)
    return [line.replace(",\u200b ", ",").replace("\u200b", "") for line in lines]


def as_csv(of: About, rows: Rows) -> str:
    """A table below lines that start with ``#`` and say what it is of."""
    out = io.StringIO()
    for name, value in of.fields.items():
        out.write(f"# {name}: {' '.join(str(value).splitlines())}\n")  # a folder may be named so
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(out, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()


def as_json(of: About, rows: Rows) -> str:
    """What it is of, and the same table."""
    return json.dumps({**of.fields, "rows": [dict(row) for row in rows]}, indent=1)


def _title(figure: go.Figure) -> str:
    return str(figure.layout.title.text or "A figure").replace("<br>", " ")
