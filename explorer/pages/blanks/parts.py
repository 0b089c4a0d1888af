"""Pieces of the page "Blanks": answers in narrow cells, so that several of 48 outputs fit below
each other, and the button that intervenes everywhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from analyses.one_list.answers import Answer
from explorer.parts.elements import plain, share
from explorer.parts.meaning import OWN, outputs
from explorer.parts.speech import says
from explorer.server import session
from interp.answers.treatment import Treatment

SEED = 0

STYLE = """<style>
ol.cells {display: grid; grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)); gap: 4px;
  list-style: none; margin: 0 !important; padding: 0 !important;}
ol.cells li {border: 1px solid rgba(127,127,127,.45); border-radius: 5px; font-size: .72rem;
  line-height: 1.3; padding: 2px 5px !important; margin: 0 !important; white-space: nowrap;}
ol.cells li.bad {border: 2px dashed #D55E00; padding: 1px 4px !important;}
ol.cells li.a {border-left: 5px solid #0072B2;}
ol.cells li.b {border-left: 5px double #E69F00; background: rgba(230,159,0,.14);}
ol.cells b {font-size: 1.05rem;}
ol.cells b.word {font-size: .68rem; line-height: 1.37rem;}
ol.cells div {display: flex; justify-content: space-between; align-items: baseline;}
ol.cells i {font-style: normal; opacity: .75;}
</style>"""
_MARKS = {"A": ("A", "a"), "B": ("B", "b"), "both": ("A=B", ""), "neither": ("✗", "bad")}


@dataclass(frozen=True)
class Cell:
    """One output."""

    token: str
    mark: str  # beside it: what is to be seen without colour
    spoken: str  # the same in words
    probability: float
    look: str  # a class of the style: bad, a, b or none


def judged(answer: Answer) -> list[Cell]:
    """Right or wrong: ``✓``, or ``✗`` and the digit that it should be."""
    return [
        Cell(
            output.said,
            "✓" if output.right else f"✗ {output.should_be}",
            "right" if output.right else f"wrong, should be {output.should_be}",
            output.probability,
            "" if output.right else "bad",
        )
        for output in answer.outputs
    ]


def attributed(answer: Answer, follows: Sequence[str]) -> list[Cell]:
    """Whose digit it is: ``A``, ``B``, ``A=B``, or ``✗`` for neither."""
    return [
        Cell(o.said, _MARKS[who][0], f"follows {who}", o.probability, _MARKS[who][1])
        for o, who in zip(answer.outputs, follows, strict=True)
    ]


def cells(shown: Sequence[Cell], name: str) -> str:
    """HTML: a grid of outputs with marks and probabilities; the page needs ``STYLE``, once."""
    items = "".join(_item(i, cell) for i, cell in enumerate(shown))
    return f'<ol class="cells" aria-label="{html.escape(name)}">{items}</ol>'


def _item(number: int, cell: Cell) -> str:
    probability = share(cell.probability)
    label = f"out {number}: {cell.token}, {cell.spoken}; probability {probability}"
    size = "digit" if cell.token.isdigit() else "word"
    return (
        f'<li class="{cell.look}" title="{html.escape(label)}" aria-label="{html.escape(label)}">'
        f'<div><b class="{size}">{cell.token}</b> <span>{cell.mark}</span></div>'
        f"<i>{html.escape(probability)}</i></li>"
    )


def answer_row(name: str, answer: Answer, key: str) -> None:
    n, wrong = len(answer.outputs), len(answer.wrong)
    verdict = (
        f"✗ {wrong} of {outputs(n)} wrong"
        if wrong
        else f"✓ {says('sorted')}, {n} of {outputs(n)} right"
    )
    with st.container(key=key, gap="small"):
        st.markdown(f"**{plain(name)}**, {OWN} · {verdict}")
        st.html(cells(judged(answer), f"Outputs: {name}"))


def everywhere(treatment: Treatment, key: str) -> None:
    """Put it into the sidebar; all of the page is drawn anew, not this panel alone."""
    if st.button(
        "Intervene so everywhere",
        key=key,
        icon=":material/public:",
        help="Sets the sidebar's intervention, which holds on all pages.",
        on_click=session.choose,
        args=(treatment,),
    ):
        st.rerun()
