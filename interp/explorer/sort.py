"""The page "Sort": the model's answer, with and without an intervention, and where it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from interp.explorer import results, session
from interp.explorer.controls import View
from interp.explorer.models import OpenModel
from interp.explorer.parts import chart, plain, sentences, strip
from interp.explorer.places import Places
from interp.explorer.results import Answer, Attention
from interp.figures import GREY, attention_heatmap
from interp.treatment import PUBLISHED_ACTS, Treatment

if TYPE_CHECKING:
    import plotly.graph_objects as go

_WELCOME = (
    "Nobody programmed it: it saw random lists and their sorted answers. Between the two it may be "
    "given meaningless BLANK tokens to compute in. Change the list, close off the blanks, and see "
    "where the answer comes from."
)
_MOST_GAPPED = 80  # columns; in a larger heatmap the lines between cells would hide the cells
_FAINTEST_SCALE = 0.05  # the colours reach to the largest weight, but never blow up mere noise


def draw(view: View, places: Places) -> None:
    """The whole page."""
    del places
    st.title("A transformer that taught itself to sort")
    if view.digits is None:
        st.info("Waiting for a list that can be read; the message is beside its field.")
        return
    st.markdown(_WELCOME)
    said = _answers(view, view.digits)
    st.header("Where it looks", divider="gray")
    _attention(view, said)


# -- the answer ---------------------------------------------------------------------------------


def _answers(view: View, digits: tuple[int, ...]) -> Answer:
    """The answer, beside the masked one where the mask is on; returns the one under the mask."""
    st.header("What it answers", divider="gray")
    with st.spinner("Sorting"):
        whole = results.answer(view.opened, digits, Treatment())
    if not view.treatment:
        _answer(whole, "As it is", "answer")
        _answer_sentences()
        return whole
    with st.spinner("Sorting under the intervention"):
        changed = results.answer(view.opened, digits, view.treatment)
    left, right = st.columns(2, gap="medium")
    with left:
        _answer(whole, "As it is", "answer")
    with right:
        _answer(changed, "Under the intervention", "changed_answer")
    _answer_sentences(f" Under the intervention: {plain(view.words)}.")
    if view.treatment.act in PUBLISHED_ACTS:
        _sample(view.opened, view.treatment)
    return changed


def _answer(said: Answer, name: str, key: str) -> None:
    with st.container(key=key):
        st.markdown(f"**{name}**")
        st.code(said.text, language=None, wrap_lines=True)
        _verdict(said)
        st.html(strip(said, f"Outputs: {name}"))


def _verdict(said: Answer) -> None:
    n, wrong = len(said.outputs), len(said.wrong)
    if not wrong:
        st.markdown("**✓ Sorted.** " + (f"All {n} outputs are right." if n > 1 else "It is right."))
    else:
        st.markdown(
            f"**✗ Not sorted.** {wrong} of {n} outputs {'is' if wrong == 1 else 'are'} wrong."
        )


def _answer_sentences(more: str = "") -> None:
    sentences(
        "the model's own answer, digit by digit, each given the digits that it said before; below "
        f"each its probability, and what it would have said instead.{more}",
        "that it sorts other lists too, or how it does it.",
    )


def _sample(opened: OpenModel, mask: Treatment) -> None:
    """Exact match on held-out lists, with and without the mask."""
    st.subheader("On other lists")
    with st.spinner(f"Scoring {results.SAMPLE} held-out lists, twice"):
        rates = [results.exact_match(opened, m) for m in (Treatment(), mask)]
    for column, name, rate in zip(
        st.columns(2, gap="medium"), ("As it is", "Under the mask"), rates, strict=True
    ):
        low, high = 100 * rate.low, 100 * rate.high
        column.metric(f"Whole list right: {name.lower()}", f"{100 * rate.value:.1f} %")
        column.caption(f"95 % interval {low:.1f} to {high:.1f} % (Wilson), n = {rate.n} lists")
    sentences(
        f"how many of {results.SAMPLE} held-out lists, of every length in turn, come out without a "
        "mistake.",
        "that the content of the blanks is used: the mask also takes away the place where attention"
        " goes when there is nothing to look for (the attention sink), and spreads it elsewhere.",
    )


# -- attention ----------------------------------------------------------------------------------


@st.fragment
def _attention(view: View, said: Answer) -> None:
    with st.spinner("Looking at the attention"):
        seen = results.attention(view.opened, said, view.treatment)
    n_layers, n_heads = seen.pattern.shape[:2]
    session.clamp(session.LAYER, n_layers, n_layers - 1)
    session.clamp(session.HEAD, n_heads, 0)
    columns = st.columns([1, 2, 2], vertical_alignment="bottom")
    layer = columns[0].radio("Layer", range(n_layers), key=session.LAYER, horizontal=True)
    head = columns[1].radio("Head", range(n_heads), key=session.HEAD, horizontal=True)
    every = columns[2].toggle("Every row, not only those that emit", key=session.EVERY_ROW)
    session.write_link(layer=str(layer), head=str(head))
    figure = _attention_figure(seen, layer, head, every)
    chart(figure, "attention")
    sentences(
        "how this head spreads its attention. A row is the position that looks, and adds up to 1; "
        "a column is what it looks at. Positions after the prompt hold the model's own outputs. "
        "The colours reach to the largest weight in view."
        + (f" All of it under the intervention: {plain(view.words)}." if view.treatment else ""),
        "that what is looked at is used: a head may copy nothing, and attention may rest where it "
        "does no harm.",
    )


def _attention_figure(seen: Attention, layer: int, head: int, every: bool) -> go.Figure:
    pattern, queries = seen.pattern[layer, head], list(seen.labels)
    if not every:
        queries = seen.row_labels
        pattern = pattern[-len(queries) :]
    figure = attention_heatmap(pattern, queries, list(seen.labels), f"Layer {layer}, head {head}")
    figure.update_traces(zmax=max(_FAINTEST_SCALE, float(pattern.max())))
    if len(seen.labels) > _MOST_GAPPED:
        figure.update_traces(xgap=0, ygap=0)
    for edge in seen.edges:
        figure.add_vline(edge - 0.5, line_width=1, line_color=GREY)
    return figure
