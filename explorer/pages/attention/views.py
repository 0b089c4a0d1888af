"""Parts of the page "Attention" that are of the model, not of a list: head finder and circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from explorer.parts.controls import View
from explorer.parts.elements import plain, sentences
from explorer.parts.panel import about, panel
from explorer.server import session
from explorer.server.models import OpenModel
from explorer.server.store import computed, store
from interp.support.lazy import lazy_import
from interp.support.progress import Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from analyses.head_circuits import body as head_circuits
    from analyses.head_circuits.body import Circuit, CircuitResult
    from analyses.head_finder import body as head_finder
    from analyses.head_finder.body import HeadResult
else:
    head_finder = lazy_import("analyses.head_finder.body")
    head_circuits = lazy_import("analyses.head_circuits.body")

_QK, _FIGURE = "attention_qk", "attention_finder"
_SECONDS_PER_HEAD = 2.0  # of the head finder: 20 s for 10 heads, on one core of an ordinary machine
_SEED = 0


def score_table(rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """A table that a click on a column's name sorts; numbers with two digits after the point."""
    names = dict.fromkeys(name for row in rows for name in row)
    numbers = {n for n in names if any(isinstance(row.get(n), float) for row in rows)}
    st.dataframe(
        [dict(row) for row in rows],
        key=key,
        hide_index=True,
        width="stretch",
        height=min(35 * (len(rows) + 1) + 3, 460),
        column_config={
            name: st.column_config.NumberColumn(format="%.2f")
            if name in numbers
            else st.column_config.Column(pinned=name == "head")
            for name in names
        },
    )


# -- the head finder ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What is kept of the head finder's result."""

    figure: go.Figure
    rows: list[dict[str, Any]]
    finding: str
    lists: int


@st.fragment
def finder(view: View) -> None:
    """The head finder: run by a button, kept for all visitors, then shown at once."""
    key = ("head_finder", view.opened.hash, _SEED)
    n_lists = head_finder.HeadConfig().lists
    offer = st.empty()
    if not store().has(key):
        seconds = round(_SECONDS_PER_HEAD * len(_heads(view.opened)))
        with offer.container():
            st.markdown(
                "The head finder takes each head away and sees what that costs: on "
                f"{n_lists} held-out lists, in three ways, seed {_SEED}."
            )
            if not st.button(f"Run the head finder: about {seconds} s"):
                return
    offer.empty()
    found: Found = computed(key, lambda bar: _find(view.opened, bar), "The head finder")
    st.markdown(plain(found.finding))
    st.markdown("**Scores over many lists** (★ named; click a column's name to sort)")
    score_table(found.rows, "finder_scores")
    sentences(
        "for each head (layer.head) what its ablation costs in log-probability of the right digits "
        f"(nats per digit, mean over {found.lists} lists; low and high: 95 % bootstrap interval), "
        "and how conspicuous its pattern is over lists of one length, targets above chance. "
        "Nothing of the sidebar's intervention is in it.",
        "what a head does, or through which positions; and heads can stand in for each other.",
    )
    session.choice(_FIGURE, "att_finder", ["no", "yes"], "no")
    wanted = st.radio("The same as a figure", ["no", "yes"], key=_FIGURE, horizontal=True)
    session.write_link(att_finder="" if wanted == "no" else wanted)
    if wanted == "yes":
        panel(
            found.figure,
            "head_finder",
            about(view, "-m analyses.head_finder", of_list=False, seed=_SEED),
            found.rows,
            "what ablating each head costs, in lists and in log-probability, with 95 % intervals, "
            f"n = {found.lists} lists; below, where each head looks.",
            "what a head does, or through which positions.",
        )


def _heads(opened: OpenModel) -> list[tuple[int, int]]:
    config = opened.model.config
    return [(i, j) for i in range(config.n_layers) for j in range(config.n_heads)]


def _find(opened: OpenModel, progress: Progress) -> Found:
    result = head_finder.compute(opened.model, seed=_SEED, progress=progress)
    rows = finder_rows(result)
    finding = head_finder.summary(result)[-1]
    return Found(head_finder.figure(result), rows, finding, len(result.trials.lengths))


def finder_rows(result: HeadResult) -> list[dict[str, Any]]:
    """A row for each head: what it costs, with intervals, and the scores of its pattern."""
    from analyses.attention_patterns.body import label
    from interp.methods.heads import pattern_ranks

    ranks = {name: dict(ranked) for name, ranked in pattern_ranks(result.stats).items()}
    rows = []
    for head in result.heads:
        row: dict[str, Any] = {"head": label(head), "named": "★" if head in result.named else ""}
        for kind in head_finder.KINDS:
            cost = result.effect(kind, head)
            row |= {
                f"{kind}, nats": cost.value,
                f"{kind}, low": cost.low,
                f"{kind}, high": cost.high,
            }
        row |= {name: scores.get(head) for name, scores in ranks.items()}
        rows.append(row)
    return rows


# -- circuits -----------------------------------------------------------------------------------


@st.fragment
def circuits(view: View, chosen: tuple[int, int]) -> None:
    """The OV circuit of the head beside one of its QK circuits."""
    names = [name for name in head_circuits.NAMES if name != "ov"]
    session.choice(_QK, "att_circuit", names, "qk-tokens")
    asked = st.selectbox("QK circuit, at the right", names, key=_QK, format_func=_without_kind)
    left, right = st.columns(2, gap="medium")
    with right:
        _circuit(view, chosen, asked, _QK_SHOWS)
    with left:
        result = _circuit(view, chosen, "ov", _OV_SHOWS)
        if result.copying == result.copying:
            st.caption(
                f"Copying score: {result.copying:+.2f} (1: it raises the digit that it looks at, "
                "-1: it lowers it; Elhage et al. 2021)."
            )
    session.write_link(att_circuit="" if asked == "qk-tokens" else asked)


def _without_kind(asked: Circuit) -> str:
    """``QK: which token looks for which token``, without ``QK:``, which the field says."""
    return head_circuits.NAMES[asked].partition(": ")[2]


_OV_SHOWS = (
    "if this head looked only at the token of a row, what that would add to the logit of every "
    "output (less the mean over the outputs)."
)
_QK_SHOWS = (
    "the attention score that a row gives to a column: what would be looked for. What a whole row "
    "shares is taken off, for the softmax does not see it."
)


def _circuit(view: View, head: tuple[int, int], asked: Circuit, shows: str) -> CircuitResult:
    result = _read(view.opened.hash, head, asked, view.opened)
    command = f"-m analyses.head_circuits --layer {head[0]} --head {head[1]} --circuit {asked}"
    panel(
        head_circuits.figure(result),
        f"circuit_{'ov' if asked == 'ov' else 'qk'}",
        about(view, command, of_list=False),
        lambda: head_circuits.table(result),
        f"{shows} {result.approximation}",
        "what happens on real lists: the weights are read by themselves.",
    )
    return result


@st.cache_data(max_entries=100, show_spinner=False)
def _read(hash_: str, head: tuple[int, int], asked: Circuit, _opened: OpenModel) -> CircuitResult:
    config = head_circuits.CircuitConfig(*head, asked)
    return head_circuits.compute(_opened.model, config)
