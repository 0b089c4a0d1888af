"""The page "Patch": exchange one place at a time between two lists; what does the answer do?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import streamlit as st

from analyses import patch_blanks
from analyses.one_list.patch import (
    DIRECTIONS,
    EXPERIMENT,
    ROWS,
    Direction,
    PatchSettings,
    Rows,
)
from analyses.one_list.patch.result import PatchMap, rows_of
from analyses.one_list.patch.words import strongest, wrong_words
from analyses.patch_blanks import compute
from analyses.patch_blanks.result import PatchResult
from explorer.pages.patch import map as patch_map
from explorer.pages.patch.map import CELL, WAY, Cell
from explorer.pages.patch.one import draw_one, follow_choice
from explorer.pages.patch.pair import Pair, draw_lists, runs_of
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse, sentences, wait_for_list
from explorer.parts.one_list import SEED, about_list, is_there, outcome
from explorer.parts.panel import About, downloads, panel, ready
from explorer.parts.speech import says
from explorer.server import session
from explorer.server.places import Places
from explorer.server.store import computed
from interp.answers.treatment import Treatment
from interp.methods.agreement import agreement
from interp.task import typed

BESIDE, WHOLE = "patch_beside", "patch_whole"
"""The toggle of the preview, and the expander."""
_QUICK = 3e9
"""Cells times parameters: at a tenth of a nanosecond each the exact map is there sooner than the
preview is drawn, which it would replace at once. 48 digits of a shipped model are half of it."""
_WAYS = {
    "denoising": "Denoising: clean into corrupted",
    "noising": "Noising: corrupted into clean",
}
_ROWS = {
    "stream": "Residual stream",
    "z": "Head outputs",
    "q": "Queries",
    "k": "Keys",
    "v": "Values",
}
_WELCOME = (
    "Two lists, two answers. Take what the model holds at **one place** while it reads one list, "
    "put it into its reading of the other, and see how far the answer follows. Places that carry "
    "the answer move it; the others do nothing."
)


def draw(view: View, places: Places) -> None:
    """The whole page."""
    del places
    st.title("Patching: what carries the answer")
    if view.digits is None:
        wait_for_list()
        return
    st.markdown(_WELCOME)
    pair = draw_lists(view.opened, view.digits)
    if pair is None:
        return
    if view.treatment:
        st.caption(f"Patched here is the model as it is, not with: {plain(view.words)}.")
    as_it_is = replace(view, treatment=Treatment())
    st.header("One place at a time")
    _sweep(as_it_is, pair, view.treatment)
    st.header("Many places together")
    _whole(as_it_is, pair)


# -- the map ------------------------------------------------------------------------------------


@st.fragment
def _sweep(view: View, pair: Pair, treatment: Treatment) -> None:
    """The map of one direction, its cell, and what that one patch does."""
    follow_choice()
    opened, config = view.opened, view.opened.model.config
    runs = runs_of(opened, pair, "denoising")
    start, row = runs.view.start, int(runs.pairs.rows[0])
    changed = next(i for i, (a, b) in enumerate(zip(*pair, strict=True)) if a != b)
    cell, error = patch_map.chosen_cell(config, range(start, row + 1), start + changed)
    way, rows = _choices(rows_of(cell.site.component))
    exact = PatchSettings(corrupt=typed(pair[1]), direction=way, rows=rows)
    preview = cast(PatchMap, outcome(view, EXPERIMENT, replace(exact, method="gradient")).result)
    beside = len(preview.positions) <= patch_map.MOST_BESIDE
    left, right = st.columns([3, 2], gap="medium") if beside else (st.container(), st.container())
    with left:
        if preview.understood:
            _map(view, pair, preview, exact, cell)
        else:
            st.info(plain(wrong_words(preview)), icon=":material/info:")
    with right:
        st.subheader("One patch")
        st.caption("Click a cell of the map, or choose it here.")
        labels = dict(zip(preview.positions, preview.holds, strict=True))
        patch_map.draw_boxes(config, labels, cell)
        if error is not None:
            refuse(st.container(), says(f"{error}. The first changed digit is shown instead."))
        session.write_link(
            **{WAY: way, patch_map.ROWS: rows, CELL: "" if error else st.session_state[CELL]}
        )
        draw_one(opened, pair, preview, cell, treatment)


def _choices(rows_of_cell: Rows) -> tuple[Direction, Rows]:
    session.choice(WAY, WAY, DIRECTIONS, DIRECTIONS[0])
    session.from_link(patch_map.ROWS, patch_map.ROWS, rows_of_cell)
    session.allow(patch_map.ROWS, ROWS, rows_of_cell)
    columns = st.columns(2)
    way = columns[0].radio(
        "Direction",
        DIRECTIONS,
        key=WAY,
        format_func=lambda way: _WAYS[way],
        help="Denoising asks whether a place is enough to bring the clean answer back; noising, "
        "whether the clean answer is lost without it.",
    )
    rows = columns[1].radio(
        "Rows of the map",
        ROWS,
        key=patch_map.ROWS,
        format_func=lambda rows: _ROWS[rows],
        horizontal=True,
        help="The residual stream and what attention and MLP add to it; or a part of attention, "
        "of all heads of a layer together and of each by itself.",
    )
    return way, rows


def _map(view: View, pair: Pair, preview: PatchMap, exact: PatchSettings, cell: Cell) -> None:
    """The exact map; where that takes long, the preview until it is there."""
    place = st.empty()
    if not is_there(view, EXPERIMENT, exact) and _takes_long(view, preview):
        with place.container(key="patch_preview"):
            _plain_map(preview, preview.limit, "Preview while every cell is patched")
    made = outcome(view, EXPERIMENT, exact, "Patching every cell")
    found = cast(PatchMap, made.result)
    with place.container(key="patch_exact"):
        st.markdown(f"**Exact: every cell patched.** Strongest: {strongest(found)}.")
        patch_map.draw_map(found, cell, found.limit, _alt(found))
    sentences(
        "how far the answer moves when one place at one position is exchanged between the two runs:"
        " 1 is the whole difference between the two answers, 0 none of it. Lines part digits, SEP, "
        "blanks, last blank and outputs; the frame is the cell chosen below. Positions after the "
        "one that is read are left out.",
        "that a place without effect does not matter: it may matter together with others. One that "
        "matters may only pass on what was computed before. One pair says nothing about others.",
    )
    of = replace(about_list(view, EXPERIMENT, exact), intervention=_words(pair))
    downloads(lambda: ready(made.figure, of), "patch_map", of, lambda: made.rows)
    if st.toggle("Show the preview beside it", key=BESIDE):
        _plain_map(preview, found.limit, "Preview by gradients, on the same scale")
        _agreement(preview, found)


def _takes_long(view: View, found: PatchMap) -> bool:
    cells = len(found.sites) * len(found.positions)
    return cells * view.opened.model.config.n_parameters > _QUICK


def _plain_map(preview: PatchMap, limit: float, words: str) -> None:
    st.markdown(f"**{words}** (attribution patching: guessed at once, with errors)")
    chart = patch_map.chart(preview, limit)
    st.altair_chart(chart, width="stretch", alt=f"{words}. {_alt(preview)}")


def _alt(found: PatchMap) -> str:
    return f"Map of {found.direction} patches, share of the answer: {strongest(found)}"


def _agreement(preview: PatchMap, exact: PatchMap) -> None:
    """How well the guess agrees with the sweep, over the cells that could have an effect."""
    maps = (preview.effects[None], exact.effects[None], exact.possible[None])
    said = agreement(*maps)
    named = {
        "Order (rank correlation)": said.rank,
        "Size (linear correlation)": said.linear,
        "Sum of guesses / sum of effects": said.recovered,
    }
    for column, (name, value) in zip(st.columns(3), named.items(), strict=True):
        column.metric(name, "undefined" if value is None else f"{value.value:.2f}")
    n = int(exact.possible.sum())
    sentences(
        f"how well the preview agrees with the exact map, over the {n} cells where a patch alters "
        "anything that can be seen. It is one pair of lists, so there is no interval.",
        "how it agrees on other lists: where attention or a ReLU is saturated a gradient sees "
        "nothing, however much the patch would change.",
    )


def _words(pair: Pair) -> str:
    return f"patched with the list {typed(pair[1])}, a place at a time"


# -- many places --------------------------------------------------------------------------------


@st.fragment
def _whole(view: View, pair: Pair) -> None:
    """All of ``analyses.patch_blanks`` for this pair."""
    box = st.expander(
        "Whole regions, and single heads, in both directions", key=WHOLE, on_change="rerun"
    )
    if not box.open:
        return
    with box:
        settings = patch_blanks.PatchConfig(list=typed(pair[0]), corrupt=typed(pair[1]))
        found: PatchResult = computed(
            ("patch_blanks", view.opened.hash, settings, SEED),
            lambda progress: compute(view.opened.model, settings, SEED, progress),
            "Patching every place, in both directions",
        )
        made = patch_blanks.EXPERIMENT.outcome(found)
        words = made.words[1:]  # its first line counts pairs
        if not found.understood.any():
            st.info(plain(" ".join(words)))
            return
        panel(
            made.figure,
            "patch_blanks",
            About(
                view.opened.name,
                view.opened.hash,
                typed(pair[0]),
                _words(pair),
                SEED,
                patch_blanks.EXPERIMENT.command(settings, model=view.opened.name, seed=SEED),
            ),
            lambda: _whole_rows(made.json),
            "what each place carries by itself, in both directions: single positions, the regions "
            "taken together, and the outputs, keys and values of single heads.",
            "that a place without effect does not matter, or that other pairs are like this one; "
            "`python -m analyses.patch_blanks` averages over many.",
        )
        st.text("\n".join(words))


def _whole_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [*data["by_place"], *data["by_head"]]
