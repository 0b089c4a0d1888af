"""The page "Truth": sorters whose algorithm is known, and what every method says of them."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import plotly.graph_objects as go
import streamlit as st

from analyses.experiment import Outcome, catalogue
from analyses.known_answers import EXPERIMENT, KnownAnswersConfig
from analyses.known_answers.result import KnownAnswers, Row
from explorer.pages.truth.open import open_sorter
from explorer.pages.truth.words import (
    BLANKS_ARE_FOR,
    FITTING_LIST,
    LOOK_FOR,
    in_words,
    question,
    why_wrong,
)
from explorer.parts.controls import View
from explorer.parts.elements import refuse
from explorer.parts.panel import About
from explorer.parts.study import SEED, Study, asked_for, settings_of, study
from explorer.parts.study import draw as draw_study
from explorer.server import session
from explorer.server.places import Places
from interp.answers.treatment import Treatment
from interp.sites import Component, head_name, place_name
from interp.sorters.truth import SORTERS, Truth, truth_of
from interp.support.device import pick_device

BOARD, ROWS = "truth_board", "truth_rows"  # names in the address, too
SIZES = {  # of the scoreboard, by the longest list of its sorters
    "small": settings_of(EXPERIMENT, quick=True).max_len,
    "full": EXPERIMENT.settings.max_len,
}
_LABEL = 34  # characters of a line beside the scoreboard

_WELCOME = (
    "How does one know that a method tells the truth about a model? By trying it on models whose "
    "algorithm is known. These five sorters were not trained: each number in them was written by "
    "a program, so that they sort in a way that we know. A method that is right about them may be "
    "believed a little more about a trained model."
)


def draw(view: View, places: Places) -> None:
    """The whole page."""
    st.title("Do the methods tell the truth?")
    st.markdown(_WELCOME)
    if view.opened.truth is not None:
        open_sorter(view, view.opened.truth)
    _cards(places)
    for one in catalogue.on_page("truth"):
        if one is EXPERIMENT:
            _board()
        else:
            study(view, one)


# -- the five sorters ---------------------------------------------------------------------------


def _cards(places: Places) -> None:
    st.header("Five sorters whose algorithm is known")
    columns = st.columns(2, gap="medium")
    for number, name in enumerate(SORTERS):
        with columns[number % 2].container(border=True, key=f"card {name}"):
            _card(name, places)


def _card(name: str, places: Places) -> None:
    truth = truth_of(name)
    st.subheader(name)
    st.markdown(truth.words)
    st.markdown(f"**Known:** {' · '.join(_facts(truth))}")
    st.button(
        f"Open {name} in every page",
        key=f"open {name}",
        on_click=_open,
        args=(name, places.choices()),
        help="Chooses it in the sidebar, with a list that shows its algorithm, and nothing done.",
    )
    with st.expander("What to look for on each page"):
        st.markdown("\n".join(f"- **{page}:** {words}" for page, words in LOOK_FOR[name].items()))


def _facts(truth: Truth) -> list[str]:
    """What is known, in a few words each."""
    heads = ", ".join(head_name(head) for head in sorted(truth.heads))
    mlps = ", ".join(place_name(Component.MLP_OUT, layer) for layer in sorted(truth.mlps))
    return [
        f"blanks: {BLANKS_ARE_FOR[truth.name]}",
        f"heads that carry the answer: {heads}",
        f"MLPs that do: {mlps}",
        f"masking the blanks {'destroys' if truth.blanks_needed else 'does not change'} the answer",
    ]


def _open(name: str, choices: list[str]) -> None:
    session.choose_model(f"compiled:{name}", choices)
    session.choose(Treatment())
    session.put(session.LIST, ",".join(map(str, FITTING_LIST)))


# -- the scoreboard -----------------------------------------------------------------------------


@st.fragment
def _board() -> None:
    st.header("The scoreboard")
    st.markdown(
        "Every method is asked about every sorter. Some questions go to methods that cannot answer "
        "them, on purpose: their mistakes are the ones to know."
    )
    session.choice(BOARD, BOARD, list(SIZES), "small")
    size = st.radio(
        "Sorters for lists of up to",
        list(SIZES),
        key=BOARD,
        horizontal=True,
        format_func=lambda name: f"{SIZES[name]} digits",
        help="The same algorithms; the small ones are quicker.",
    )
    session.write_link(**{BOARD: size.replace("small", "")})
    settings = settings_of(EXPERIMENT, quick=size == "small")
    one = Study(EXPERIMENT, settings, board_about(settings.max_len), lambda: pick_device("cpu"))
    if isinstance(outcome := asked_for(one), Outcome):  # it is of no shipped model
        _scores(one, outcome)


def _scores(one: Study, outcome: Outcome) -> None:
    result: KnownAnswers = outcome.result
    right = len(result.rows) - len(result.wrong)
    unexplained = [row for row in result.wrong if not why_wrong(row.method)]
    st.markdown(
        f"**{right} of {len(result.rows)} answers are right.** "
        + ("Every ✗ is expected, and explained below." if not unexplained else "")
    )
    if unexplained:
        refuse(st.container(), f"{len(unexplained)} answers are wrong that should be right.")
    draw_study(one, outcome, narrower)
    session.from_link(ROWS, ROWS, "")
    session.allow(ROWS, ["all", *SORTERS, "✗ only"], "all")
    chosen = st.radio("Rows", ["all", *SORTERS, "✗ only"], key=ROWS, horizontal=True)
    session.write_link(**{ROWS: chosen.replace("all", "")})
    kept = [
        row
        for row in result.rows
        if chosen in ("all", row.sorter) or (chosen == "✗ only" and not row.right)
    ]
    st.dataframe([board_row(row) for row in kept], hide_index=True, width="stretch")
    if reasons := reasons_of(kept):
        st.markdown("**Why these ✗ are expected**\n" + "\n".join(f"- {r}" for r in reasons))


def narrower(figure: go.Figure) -> go.Figure:
    """The scoreboard with its questions on several lines, so that answers have room at 1280 px."""
    methods = list(figure.data[0].y)
    lines = ["<br>".join(wrap(method, _LABEL)) for method in methods]
    figure.update_yaxes(tickvals=methods, ticktext=lines, tickfont={"size": 11})
    figure.update_traces(textfont={"color": "black", "size": 10})
    return figure.update_layout(height=130 + 38 * len(methods))


def board_row(row: Row) -> dict[str, str]:
    """A row of the scoreboard, in plain words."""
    return {
        "": "✓" if row.right else "✗",
        "Sorter": row.sorter,
        "Question": question(row.method),
        "Known answer": in_words(row.true),
        "The method said": in_words(row.said),
        "Asked of": row.method.partition(":")[0],
    }


def reasons_of(rows: Sequence[Row]) -> list[str]:
    """Of each question that is answered wrongly: where, and why that is no surprise."""
    wrong: dict[str, list[str]] = {}
    for row in rows:
        if not row.right:
            wrong.setdefault(row.method, []).append(row.sorter)
    return [
        f"{question(method)} ({', '.join(sorters)}): "
        + (why_wrong(method) or "**Not expected: please report it.**")
        for method, sorters in wrong.items()
    ]


def board_about(max_len: int) -> About:
    """It is of five models at once, none of them the sidebar's."""
    return About(
        "compiled sorters",
        f"all {len(SORTERS)}, for lists of up to {max_len} digits",
        "",
        "nothing is changed but what each method changes",
        SEED,
        EXPERIMENT.command(KnownAnswersConfig(max_len), seed=SEED),
    )
