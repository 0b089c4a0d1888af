"""The page "Sort": the model's answer, with and without blanks, its attention, and patching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from interp.errors import UserError
from interp.explorer import results, session
from interp.explorer.controls import View
from interp.explorer.models import OpenModel
from interp.explorer.parts import chart, refuse, sentences, strip
from interp.explorer.results import Answer, Attention, Mask
from interp.figures import GREY, attention_heatmap
from interp.task import N_DIGITS

if TYPE_CHECKING:
    import plotly.graph_objects as go

_WELCOME = (
    "Nobody programmed it: it saw random lists and their sorted answers. Between the two it may be "
    "given meaningless BLANK tokens to compute in. Change the list, close off the blanks, and see "
    "where the answer comes from."
)
_MOST_GAPPED = 80  # columns; in a larger heatmap the lines between cells would hide the cells
_FAINTEST_SCALE = 0.05  # the colours reach to the largest weight, but never blow up mere noise


def draw(view: View | None) -> None:
    """The whole page."""
    if view is None:
        st.info("No model can be opened. Train one with `python training/train.py`.")
        return
    if view.digits is None:
        st.info("Waiting for a list that can be read; the message is beside its field.")
        return
    st.markdown(_WELCOME)
    said = _answers(view, view.digits)
    st.header("Where it looks", divider="gray")
    _attention(view.opened, said, view.mask)
    st.header("What passes through where", divider="gray")
    _patching(view.opened, view.digits, view.mask)


# -- the answer ---------------------------------------------------------------------------------


def _answers(view: View, digits: tuple[int, ...]) -> Answer:
    """The answer, beside the masked one where the mask is on; returns the one under the mask."""
    st.header("What it answers", divider="gray")
    with st.spinner("Sorting"):
        plain = results.answer(view.opened, digits, Mask.NONE)
    if view.mask is Mask.NONE:
        _answer(plain, "As it is", "answer")
        _answer_sentences()
        return plain
    with st.spinner("Sorting with the blanks masked"):
        masked = results.answer(view.opened, digits, view.mask)
    left, right = st.columns(2, gap="medium")
    with left:
        _answer(plain, "As it is", "answer")
    with right:
        _answer(masked, "Under the mask", "masked_answer")
    _answer_sentences(f" Under the mask: {view.mask.words}.")
    _sample(view.opened, view.mask)
    return masked


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


def _sample(opened: OpenModel, mask: Mask) -> None:
    """Exact match on held-out lists, with and without the mask."""
    st.subheader("On other lists")
    with st.spinner(f"Scoring {results.SAMPLE} held-out lists, twice"):
        rates = [results.exact_match(opened, m) for m in (Mask.NONE, mask)]
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
def _attention(opened: OpenModel, said: Answer, mask: Mask) -> None:
    with st.spinner("Looking at the attention"):
        seen = results.attention(opened, said, mask)
    n_layers, n_heads = seen.pattern.shape[:2]
    session.clamp(session.LAYER, n_layers, n_layers - 1)
    session.clamp(session.HEAD, n_heads, 0)
    columns = st.columns([1, 2, 2], vertical_alignment="bottom")
    layer = columns[0].radio("Layer", range(n_layers), key=session.LAYER, horizontal=True)
    head = columns[1].radio("Head", range(n_heads), key=session.HEAD, horizontal=True)
    every = columns[2].toggle("Every row, not only those that emit", key=session.EVERY_ROW)
    session.write_link(layer=str(layer), head=str(head))
    chart(_attention_figure(seen, layer, head, mask, every), "attention")
    sentences(
        "how this head spreads its attention. A row is the position that looks, and adds up to 1; "
        "a column is what it looks at. Positions after the prompt hold the model's own outputs. "
        "The colours reach to the largest weight in view."
        + ("" if mask is Mask.NONE else f" All of it under the mask: {mask.words}."),
        "that what is looked at is used: a head may copy nothing, and attention may rest where it "
        "does no harm.",
    )


def _attention_figure(seen: Attention, layer: int, head: int, mask: Mask, every: bool) -> go.Figure:
    pattern, queries = seen.pattern[layer, head], list(seen.labels)
    if not every:
        queries = seen.row_labels
        pattern = pattern[-len(queries) :]
    title = f"Layer {layer}, head {head}" + ("" if mask is Mask.NONE else ", under the mask")
    figure = attention_heatmap(pattern, queries, list(seen.labels), title)
    figure.update_traces(zmax=max(_FAINTEST_SCALE, float(pattern.max())))
    if len(seen.labels) > _MOST_GAPPED:
        figure.update_traces(xgap=0, ygap=0)
    for edge in seen.edges:
        figure.add_vline(edge - 0.5, line_width=1, line_color=GREY)
    return figure


# -- patching -----------------------------------------------------------------------------------


@st.fragment
def _patching(opened: OpenModel, clean: tuple[int, ...], mask: Mask) -> None:
    automatic = ",".join(str(digit) for digit in one_digit_changed(clean))
    text = st.text_input(
        "Corrupted list, of the same length",
        key=session.CORRUPT,
        placeholder=f"{automatic}  (left empty: one digit changed)",
        max_chars=session.LONGEST_TEXT,
    )
    session.write_link(corrupt=text)
    message = st.container()
    try:
        corrupt = opened.task.parse(text.strip() or automatic)
        with st.spinner("Patching every place, in both directions"):
            found = results.patching(opened, clean, corrupt)
    except UserError as error:
        refuse(message, error)
        return
    if found.figure is None:
        st.info("\n\n".join(found.words))
        return
    chart(found.figure, "patching")
    with st.expander("In words"):
        st.text("\n".join(found.words))
    sentences(
        "what happens to the answer when one place of one run is replaced by that of the other: 1 "
        "is the whole difference between the two answers, 0 none of it."
        + ("" if mask is Mask.NONE else " The mask is not applied here."),
        "that a place without effect does not matter: it may matter together with others. One pair "
        "says nothing about other lists; `python -m analyses.patch_blanks` averages over many.",
    )


def one_digit_changed(digits: tuple[int, ...]) -> tuple[int, ...]:
    """The list with another last digit: a pair to compare it with."""
    return (*digits[:-1], (digits[-1] + N_DIGITS // 2) % N_DIGITS)
