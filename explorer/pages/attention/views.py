"""Parts of the page "Attention" that are of the model, not of a list: head finder and circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from analyses.experiment import Experiment, Outcome, catalogue
from analyses.heads.head_circuits import EXPERIMENT, NAMES, Circuit, CircuitConfig
from analyses.heads.head_circuits.body import CircuitResult
from explorer.parts.controls import View
from explorer.parts.elements import plain, sentences
from explorer.parts.panel import panel
from explorer.parts.speech import says
from explorer.parts.study import SEED, about_model, asked_for, draw, study, study_of
from explorer.server import session
from explorer.server.models import OpenModel

_QK, _FIGURE = "attention_qk", "attention_finder"


def score_table(rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """A table that a click on a column's name sorts; numbers with two digits after the point."""
    rows = [{says(name): value for name, value in row.items()} for row in rows]
    names = dict.fromkeys(name for row in rows for name in row)
    numbers = {n for n in names if any(isinstance(row.get(n), float) for row in rows)}
    st.dataframe(
        rows,
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


def studies(view: View) -> None:
    """What takes its time on this page."""
    for one in catalogue.on_page("attention"):
        if one.name == "heads.head_finder":
            finder(view, one)
        else:
            study(view, one)


@st.fragment
def finder(view: View, experiment: Experiment) -> None:
    """The head finder: its finding and a table to sort; the figure where it is wanted."""
    one = study_of(view, experiment)
    n_lists = one.settings.lists
    outcome = asked_for(
        one,
        "The head finder takes each head away and sees what that costs: on "
        f"{n_lists} held-out lists, in three ways, seed {SEED}.",
    )
    if outcome is None:
        return
    st.markdown(plain(says(outcome.words[-1])))
    st.markdown("**Scores over many lists** (★ named; a click on a column's name orders them)")
    score_table(outcome.rows, "finder_scores")
    sentences(
        "for each head (layer.head) what its ablation costs in log-probability of the right digits "
        f"(nats per digit, mean over {n_lists} lists; low and high: 95 % bootstrap interval), "
        "and how conspicuous its pattern is over lists of one length, targets above chance. "
        "Nothing of the sidebar's intervention is in it.",
        "what a head does, or through which positions; and heads can stand in for each other.",
    )
    session.choice(_FIGURE, "att_finder", ["no", "yes"], "no")
    wanted = st.radio("The same as a figure", ["no", "yes"], key=_FIGURE, horizontal=True)
    session.write_link(att_finder="" if wanted == "no" else wanted)
    if wanted == "yes":
        draw(one, outcome)


# -- circuits -----------------------------------------------------------------------------------


@st.fragment
def circuits(view: View, chosen: tuple[int, int]) -> None:
    """The OV circuit of the head beside one of its QK circuits."""
    names = [name for name in NAMES if name != "ov"]
    session.choice(_QK, "att_circuit", names, "qk-tokens")
    asked = st.selectbox("QK circuit, at the right", names, key=_QK, format_func=_without_kind)
    left, right = st.columns(2, gap="medium")
    with right:
        _circuit(view, chosen, asked, _QK_SHOWS)
    with left:
        result = _circuit(view, chosen, "ov", _OV_SHOWS)
        if result.copying == result.copying:
            st.caption(
                says(
                    f"Copying score: {result.copying:+.2f} (1: it raises the digit that it looks "
                    "at, -1: it lowers it; Elhage et al. 2021)."
                )
            )
    session.write_link(att_circuit="" if asked == "qk-tokens" else asked)


def _without_kind(asked: Circuit) -> str:
    """``QK: which token looks for which token``, without ``QK:``, which the field says."""
    return NAMES[asked].partition(": ")[2]


_OV_SHOWS = (
    "if this head looked only at the token of a row, what that would add to the logit of every "
    "output (less the mean over the outputs)."
)
_QK_SHOWS = (
    "the attention score that a row gives to a column: what would be looked for. What a whole row "
    "shares is taken off, for the softmax does not see it."
)


def _circuit(view: View, head: tuple[int, int], asked: Circuit, shows: str) -> CircuitResult:
    settings = CircuitConfig(*head, asked)
    outcome = _read(view.opened.hash, settings, view.opened)
    result: CircuitResult = outcome.result
    panel(
        outcome.figure,
        f"circuit_{'ov' if asked == 'ov' else 'qk'}",
        about_model(view, EXPERIMENT, settings),
        lambda: outcome.rows,
        f"{shows} {result.approximation}",
        "what happens on real lists: the weights are read by themselves.",
    )
    return result


@st.cache_resource(max_entries=100, show_spinner=False)
def _read(hash_: str, settings: CircuitConfig, _opened: OpenModel) -> Outcome:
    return EXPERIMENT.outcome(EXPERIMENT.compute(_opened.model, settings))
