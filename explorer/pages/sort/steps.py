"""The page "Sort", step by step: one output, what it was chosen from, and where the heads look."""

from __future__ import annotations

import html

import streamlit as st

from analyses.one_list import answer
from analyses.one_list.answer.result import HeadAttention, attention_by_head
from analyses.one_list.answers import Answer
from explorer.parts.controls import View
from explorer.parts.elements import plain, share
from explorer.parts.one_list import show
from explorer.parts.speech import says
from explorer.parts.tokens import REGION_SYMBOLS
from explorer.server import results, session

STEP = "step"  # in the session and in the address
STEPPING = "stepping"  # whether a step was gone to: a text, empty for no
_TABLE_STYLE = """<style>
table.heads {border-collapse: collapse; font-size: .85rem; width: 100%;}
table.heads th, table.heads td {border-bottom: 1px solid rgba(127,127,127,.35); text-align: left;
  padding: 2px 10px 2px 0; vertical-align: top; font-variant-numeric: tabular-nums;}
</style>"""


def steps(view: View, whole: Answer, said: Answer) -> None:
    """One step of decoding, chosen by the reader.

    Args:
        whole: the answer of the model as it is.
        said: its answer under the view's treatment, which the steps are of.
    """
    st.header("Step by step")
    step = _choose(len(said.outputs))
    _say(view, whole, said, step)
    attention = results.attention(view.opened, said.digits, view.treatment)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        show(
            view,
            answer.EXPERIMENT,
            answer.AnswerSettings(step=step),
            "step-probabilities",
            "how probable each token is at this step. The most probable one is said and given back "
            "as the next input.",
            "that the model knows how sure to be: see whether probabilities match how often it is "
            "right (python -m analyses.behaviour).",
        )
    with right:
        show(
            view,
            answer.EXPERIMENT,
            answer.AnswerSettings(step=step, attention=True),
            "step-heads",
            "what the position that speaks looks at, a row for each head (layer.head). A row adds "
            "up to 1 unless an intervention took some of it; colours reach to the largest weight.",
            "that what is looked at is used: a head may copy nothing, and attention may rest where "
            "it does no harm.",
        )
    with st.expander("The same in words: the three positions that each head looks at most"):
        st.html(_table(attention_by_head(attention, step)))


def chosen(n: int) -> int | None:
    """The step that was gone to, of ``n``; None while the whole answer is looked at."""
    session.from_link(STEPPING, STEP, "")
    session.from_link(STEP, STEP, "0")
    if isinstance(text := st.session_state[STEP], str):  # as it stood in the address
        st.session_state[STEP] = int(text[:6]) if text.isascii() and text.isdigit() else 0
    session.clamp(STEP, n, n - 1)
    step: int = st.session_state[STEP]
    session.write_link(step=str(step) if st.session_state[STEPPING] else "")
    return step if st.session_state[STEPPING] else None


def go(step: int) -> None:
    """To that step; for callbacks, before the slider is drawn."""
    session.put(STEP, step)
    _stepping()


def _stepping() -> None:
    st.session_state[STEPPING] = "yes"


def _choose(n: int) -> int:
    """The step, by slider; :func:`chosen` has read it from the address."""
    if n == 1:
        st.caption("This answer has one output.")
        return 0
    return st.slider("Output that is being said", 0, n - 1, key=STEP, on_change=_stepping)


def _say(view: View, whole: Answer, said: Answer, step: int) -> None:
    """The step in a sentence or two."""
    task, output, without = view.opened.task, said.outputs[step], whole.outputs[step]
    first = "the last blank" if task.n_blanks else "SEP"
    row = first if step == 0 else f"out {step - 1}"
    words = (
        f"{row[0].upper()}{row[1:]} says **{output.said}** "
        f"({share(output.probability)}) as output {step}: "
    )
    words += "✓ right." if output.right else f"✗ wrong, it should be {output.should_be}."
    if view.treatment:
        words += (
            f" As it is, the model says {without.said} ({share(without.probability)})"
            f" here. Intervened on: {plain(view.words)}."
        )
    st.markdown(words.replace("<", r"\<").replace(">", r"\>"))


def _table(heads: list[HeadAttention]) -> str:
    """HTML: a row for each head."""
    rows = "".join(_row(one) for one in heads)
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("Head", "Looks at", "By region"))
    return f'{_TABLE_STYLE}<table class="heads"><thead><tr>{head}</tr></thead>{rows}</table>'


def _row(one: HeadAttention) -> str:
    top = "; ".join(f"{label} ({share(weight)})" for label, weight in one.top) or "nothing"
    regions = ", ".join(
        f"{REGION_SYMBOLS[region]} {says(region.words)} {share(weight) if weight else '0 %'}"
        for region, weight in one.shares
    )
    return (
        f"<tr><th scope='row'>{one.layer}.{one.head}</th>"
        f"<td>{html.escape(top)}</td><td>{html.escape(regions)}</td></tr>"
    )
