"""Small pieces that every page uses: messages, sentences beside figures, the strip of outputs.

What a visitor typed is only ever shown through :func:`plain` or ``html.escape``: a message is
Markdown to Streamlit, and an image in it would be a request to another machine.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import streamlit as st

from interp.explorer.results import Answer, Output, token_name

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from streamlit.delta_generator import DeltaGenerator

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_ADDRESS = re.compile(r"(https?(?=:)|www(?=\.)|(?=@))", re.IGNORECASE)
_JOINER = "\u2060"  # no width; an address with it inside is not made into a link
_CHART = {"displaylogo": False, "responsive": True}

_STRIP_STYLE = """<style>
ol.outputs {display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 6px;
  list-style: none; margin: 0 !important; padding: 0 !important;}
ol.outputs li {border: 1px solid rgba(127,127,127,.45); border-radius: 6px; font-size: .8rem;
  line-height: 1.35; padding: 4px 8px !important; margin: 0 !important; white-space: nowrap;}
ol.outputs li.wrong {border: 2px dashed #D55E00; padding: 3px 7px !important;}
ol.outputs b {font-size: 1.25rem;}
ol.outputs b.word {font-size: .8rem; line-height: 1.7rem;}
ol.outputs div {display: flex; justify-content: space-between;}
ol.outputs i {font-style: normal; opacity: .75;}
</style>"""

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#0072B2">
<rect x="1" y="10" width="4" height="5"/><rect x="6" y="6" width="4" height="9"/>
<rect x="11" y="1" width="4" height="14"/></g></svg>"""
"""The page's icon, spelled out: a named icon or an emoji would be fetched from another machine."""


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no image, no link, no layout."""
    unlinked = _ADDRESS.sub(rf"\1{_JOINER}", " ".join(text.split()))
    return _PUNCTUATION.sub(r"\\\1", unlinked)


def refuse(where: DeltaGenerator, message: object) -> None:
    """Say beside a field what is wrong with it."""
    where.error(plain(str(message)), icon=":material/error:")


def sentences(shows: str, proves_not: str) -> None:
    """What a figure shows, and what it does not prove."""
    st.caption(f"**Shows:** {shows}  \n**Does not prove:** {proves_not}")


def chart(figure: go.Figure, key: str) -> None:
    """A figure in the page's theme, as wide as the page."""
    st.plotly_chart(figure, theme="streamlit", width="stretch", config=_CHART, key=key)


def share(probability: float) -> str:
    """A probability in percent that never rounds to certainty."""
    if probability >= 0.9995:
        return ">99.9 %"
    return "<0.1 %" if probability < 0.0005 else f"{100 * probability:.1f} %"


def strip(said: Answer, name: str) -> str:
    """HTML: every output with its probability and runner-up, wrong ones with a symbol and words."""
    items = "".join(_item(i, output) for i, output in enumerate(said.outputs))
    return f'{_STRIP_STYLE}<ol class="outputs" aria-label="{html.escape(name)}">{items}</ol>'


def _item(number: int, output: Output) -> str:
    token, second = token_name(output.token), token_name(output.runner_up)
    first, other = share(output.probability), share(output.runner_up_probability)
    verdict = "✓" if output.right else f"✗ not {output.expected}"
    spoken = "right" if output.right else f"wrong, should be {output.expected}"
    label = f"out {number}: {token}, {spoken}; probability {first}, runner-up {second} with {other}"
    return (
        f'<li class="{"right" if output.right else "wrong"}" aria-label="{html.escape(label)}">'
        f'<b class="{"digit" if token.isdigit() else "word"}">{token}</b> {verdict}'
        f"<div>{html.escape(first)}<i>out {number}</i></div>"
        f"<div>or {second}: {html.escape(other)}</div></li>"
    )
