"""The page "Truth": sorters whose algorithm is known, and what every method says of them."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import streamlit as st

from explorer.pages.truth.open import open_sorter
from explorer.pages.truth.words import (
    BLANKS_ARE_FOR,
    FITTING_LIST,
    LOOK_FOR,
    QUESTIONS,
    WHY_WRONG,
    dotted,
    in_words,
)
from explorer.parts.controls import View
from explorer.parts.elements import refuse
from explorer.parts.panel import About, panel
from explorer.server import session
from explorer.server.places import Places
from explorer.server.store import computed, store
from interp.answers.treatment import Treatment
from interp.sorters.truth import SORTERS, Truth, truth_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from analyses.known_answers.body import KnownAnswers, Row
    from interp.support.progress import Progress

BOARD, ROWS = "truth_board", "truth_rows"  # names in the address, too
SIZES = {"small": 6, "full": 48}  # the longest list of the sorters on the scoreboard
_SECONDS = {"small": "about 20 s", "full": "about 3 minutes"}  # measured on one core
SEED = 0
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
    _board()


# -- the five sorters ---------------------------------------------------------------------------


def _cards(places: Places) -> None:
    st.header("Five sorters whose algorithm is known", divider="gray")
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
    heads = ", ".join(dotted(*head) for head in sorted(truth.heads))
    mlps = ", ".join(str(layer) for layer in sorted(truth.mlps))
    return [
        f"blanks: {BLANKS_ARE_FOR[truth.name]}",
        f"heads that carry the answer: {heads}",
        f"MLPs that do: of layer {mlps}",
        f"masking the blanks {'destroys' if truth.blanks_needed else 'does not change'} the answer",
    ]


def _open(name: str, choices: list[str]) -> None:
    session.choose_model(f"compiled:{name}", choices)
    session.choose(Treatment())
    st.session_state[session.LIST] = ",".join(map(str, FITTING_LIST))


# -- the scoreboard -----------------------------------------------------------------------------


@st.fragment
def _board() -> None:
    st.header("The scoreboard", divider="gray")
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
    key = ("known_answers", SIZES[size], SEED)
    # Only the click starts it; but once it is there, it shows at once.
    if not st.button(f"Run: {_SECONDS[size]}", disabled=store().has(key)) and not store().has(key):
        return
    result = computed(key, lambda progress: score(SIZES[size], progress), "Asking every method")
    _scores(result, size)


def score(max_len: int, progress: Progress) -> KnownAnswers:
    """The whole scoreboard, an analysis a step."""
    from analyses.catalogue import NAMES
    from analyses.known_answers.body import KnownAnswers, KnownAnswersConfig, compute

    rows: list[Row] = []
    progress.begin(len(NAMES), "twelve analyses on five sorters")
    for name in NAMES:
        rows += compute(KnownAnswersConfig(max_len), SEED, only=[name]).rows
        progress.step()
    return KnownAnswers(tuple(rows), max_len)


def _scores(result: KnownAnswers, size: str) -> None:
    from analyses.known_answers.body import figure, to_json

    right = len(result.rows) - len(result.wrong)
    unexplained = [row for row in result.wrong if row.method not in WHY_WRONG]
    st.markdown(
        f"**{right} of {len(result.rows)} answers are right.** "
        + ("Every ✗ is expected, and explained below." if not unexplained else "")
    )
    if unexplained:
        refuse(st.container(), f"{len(unexplained)} answers are wrong that should be right.")
    panel(
        narrower(figure(result)),
        "scoreboard",
        board_about(result.max_len),
        lambda: to_json(result)["rows"],
        "what each method said of each sorter; ✓ where that is the known truth. Yes, no, shares "
        "from 0 to 1, heads as layer.head.",
        "that a method is right about a trained model, whose algorithm may be of another kind.",
    )
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
    if reasons := why_wrong(kept):
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
        "Question": QUESTIONS.get(row.method, row.method),
        "Known answer": in_words(row.true),
        "The method said": in_words(row.said),
        "Asked of": row.method.partition(":")[0],
    }


def why_wrong(rows: Sequence[Row]) -> list[str]:
    """Of each question that is answered wrongly: where, and why that is no surprise."""
    wrong: dict[str, list[str]] = {}
    for row in rows:
        if not row.right:
            wrong.setdefault(row.method, []).append(row.sorter)
    return [
        f"{QUESTIONS.get(method, method)} ({', '.join(sorters)}): "
        + WHY_WRONG.get(method, "**Not expected: please report it.**")
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
        f"python -m analyses.known_answers --max-len {max_len} --seed {SEED}",
    )
