"""The scripts that a page will need are loaded before it needs them: ``ahead.js`` says how.

Streamlit keeps the script of each kind of element in a file of its own, with a hash in its name;
which files there are is read from the Streamlit that is installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from explorer.server.whole import STATIC

_SCRIPT = Path(__file__).with_suffix(".js")
SOON = (
    "Html",
    "Button",
    "Selectbox",
    "TextInput",
    "Checkbox",
    "BidiComponent",
    "PageLink",
)
"""Kinds of elements of every page: the sidebar, the sequence of tokens."""
LATER = (
    "StreamlitSyntaxHighlighter",
    "PlotlyChart",
    "ButtonGroup",
    "Radio",
    "DownloadButton",
    "Slider",
    "Metric",
    "Multiselect",
    "Progress",
)
"""Those of pages with answers, figures and sliders, once the first page is drawn; not that of
tables, a megabyte and a half, which are seldom drawn at once."""


@cache
def ahead() -> bytes:
    """The script, for the head of every page."""
    lists = ", ".join(json.dumps(list(files(kinds))) for kinds in (SOON, LATER))
    return f"{_SCRIPT.read_text(encoding='utf-8').strip()}({lists});\n".encode()


def files(kinds: Sequence[str]) -> Iterator[str]:
    """``BidiComponent.CE4SdmW3.js``: the files of these kinds; none of a kind that is not there."""
    folder = STATIC / "static" / "js"
    for kind in kinds:
        yield from sorted(path.name for path in folder.glob(f"{kind}.*.js"))
