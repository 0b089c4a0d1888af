"""Small pieces that every page uses: messages, sentences beside figures, strips of outputs.

What a visitor typed is only ever shown through :func:`plain` or ``html.escape``: a message is
Markdown to Streamlit, and an image in it would be a request to another machine.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.parts.speech import says
from interp.figures import ORANGE, VERMILLION

if TYPE_CHECKING:
    from analyses.one_list.answers import Answer, Output

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_ADDRESS = re.compile(r"(https?(?=:)|www(?=\.)|(?=@))", re.IGNORECASE)
_JOINER = "\u2060"  # no width; an address with it inside is not made into a link

_STRIP_STYLE = f"""<style>
ol.outputs {{display: grid; grid-template-columns: repeat(auto-fill, minmax(80px, 1fr)); gap: 3px;
  list-style: none; margin: 0 !important; padding: 0 !important;}}
ol.outputs li {{border: 1px solid rgba(127,127,127,.45); border-radius: 5px; font-size: .75rem;
  line-height: 1.3; padding: 2px 5px !important; margin: 0 !important; white-space: nowrap;
  overflow: hidden;}}
ol.outputs li.wrong {{border: 2px dashed {VERMILLION}; padding: 1px 4px !important;}}
ol.outputs li.changed {{box-shadow: inset 0 4px 0 {ORANGE};}}
ol.outputs b {{font-size: 1.05rem;}}
ol.outputs b.word {{font-size: .68rem; line-height: 1.37rem;}}
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


def wait_for_list() -> None:
    """Where a page would show something of a list that cannot be read."""
    st.info("Waiting for a list that can be read; the message is beside its field.")


def sentences(shows: str, proves_not: str) -> None:
    """What a figure shows, and what it does not prove: a line that opens."""
    with st.popover("About this figure", icon=":material/info:"):
        st.caption(says(f"**Shows:** {shows}  \n**Does not prove:** {proves_not}"))


def share(probability: float) -> str:
    """A probability in percent that never rounds to certainty."""
    if probability >= 0.9995:
        return ">99.9 %"
    return "<0.1 %" if probability < 0.0005 else f"{100 * probability:.1f} %"


# -- the outputs --------------------------------------------------------------------------------


def strip(said: Answer, name: str, before: Answer | None = None) -> str:
    """HTML: every output with its probability, wrong ones with a symbol and words; the runner-up is
    said when one points at it.

    Args:
        before: another answer to the same list; outputs that are not as in it say what they were.
    """
    changed = said.changed_from(before) if before else []
    was = {i: before.outputs[i].said for i in changed} if before else {}
    items = "".join(_item(i, output, was.get(i)) for i, output in enumerate(said.outputs))
    return f'{_STRIP_STYLE}<ol class="outputs" aria-label="{html.escape(name)}">{items}</ol>'


def _item(number: int, output: Output, was: str | None) -> str:
    token, second = output.said, output.second
    first, other = share(output.probability), share(output.runner_up_probability)
    verdict = "✓" if output.right else f"✗ not {output.should_be}"
    spoken = "right" if output.right else f"wrong, should be {output.should_be}"
    label = f"out {number}: {token}, {spoken}; probability {first}, runner-up {second} with {other}"
    classes, changed = "right" if output.right else "wrong", ""
    if was is not None:
        classes, label = f"{classes} changed", f"{label}; changed, was {was}"
        changed = f"<div>⇄ was {was}</div>"
    return (
        f'<li class="{classes}" title="{html.escape(label)}" aria-label="{html.escape(label)}">'
        f'<b class="{"digit" if token.isdigit() else "word"}">{token}</b> {verdict}'
        f"<div>{html.escape(first)}</div>{changed}</li>"
    )
