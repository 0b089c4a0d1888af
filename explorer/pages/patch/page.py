"""The page "Patch": exchange one place at a time between two lists; what does the answer do?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from analyses.one_list.patch import body as one_list_patch
from analyses.one_list.patch import figure as one_list_patch_figure
from analyses.one_list.patch.body import DIRECTIONS, ROWS, Direction, Method, Rows
from analyses.one_list.patch.figure import strongest, wrong_words
from explorer.pages.patch import map as patch_map
from explorer.pages.patch.map import CELL, WAY, Cell
from explorer.pages.patch.one import draw_one, follow_choice
from explorer.pages.patch.pair import Pair, draw_lists, runs_of, typed
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse, sentences, wait_for_list
from explorer.parts.panel import About, about, downloads, named, panel
from explorer.server import session
from explorer.server.models import OpenModel
from explorer.server.places import Places
from explorer.server.store import computed, store
from interp.answers.treatment import Treatment

if TYPE_CHECKING:
    from analyses.one_list.patch.body import PatchMap
    from analyses.patch_blanks.body import PatchResult

BESIDE, WHOLE = "patch_beside", "patch_whole"
"""The toggle of the preview, and the expander."""
_PREVIEW: Method = "gradient"  # two passes, whatever the number of cells
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
    st.header("One place at a time", divider="gray")
    _sweep(as_it_is, pair, view.treatment)
    st.header("Many places together", divider="gray")
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
    way, rows = _choices(one_list_patch.rows_of(cell.site.component))
    preview = _preview(opened, pair, way, rows)
    if preview.understood:
        _map(view, pair, preview, rows, cell)
    else:
        st.info(plain(wrong_words(preview)), icon=":material/info:")
    st.subheader("One patch")
    st.caption("Click a cell of the map, or choose it here.")
    labels = dict(zip(preview.positions, preview.holds, strict=True))
    patch_map.draw_boxes(config, labels, cell)
    if error is not None:
        refuse(st.container(), f"{error}. The first changed digit is shown instead.")
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


def _preview(opened: OpenModel, pair: Pair, way: Direction, rows: Rows) -> PatchMap:
    """The map guessed by gradients."""
    return _guessed(opened.hash, pair, way, rows, opened)


@st.cache_resource(max_entries=64, show_spinner=False)
def _guessed(hash_: str, pair: Pair, way: Direction, rows: Rows, _opened: OpenModel) -> PatchMap:
    return one_list_patch.compute(runs_of(_opened, pair, way), rows, _PREVIEW)


def _map(view: View, pair: Pair, preview: PatchMap, rows: Rows, cell: Cell) -> None:
    """The preview until the exact map is there, then that."""
    opened, way, place = view.opened, preview.direction, st.empty()
    key = ("patch map", opened.hash, pair, way, rows)
    if not store().has(key):
        with place.container(key="patch_preview"):
            _plain_map(preview, preview.limit, "Preview while every cell is patched")
    found = computed(
        key,
        lambda progress: one_list_patch.compute(
            runs_of(opened, pair, way), rows, progress=progress
        ),
        "Patching every cell",
    )
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
    of = _about(view, pair, f"-m analyses.one_list.patch --direction {way} --rows {rows}")
    figure = named(one_list_patch_figure.figure(found), of)
    downloads(figure, "patch_map", of, lambda: one_list_patch_figure.table(found))
    if st.toggle("Show the preview beside it", key=BESIDE):
        _plain_map(preview, found.limit, "Preview by gradients, on the same scale")
        _agreement(preview, found)


def _plain_map(preview: PatchMap, limit: float, words: str) -> None:
    st.markdown(f"**{words}** (attribution patching: guessed at once, with errors)")
    chart = patch_map.chart(preview, limit)
    st.altair_chart(chart, width="stretch", alt=f"{words}. {_alt(preview)}")


def _alt(found: PatchMap) -> str:
    return f"Map of {found.direction} patches, share of the answer: {strongest(found)}"


def _agreement(preview: PatchMap, exact: PatchMap) -> None:
    """How well the guess agrees with the sweep, over the cells that could have an effect."""
    from interp.methods.agreement import agreement

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


def _about(view: View, pair: Pair, command: str) -> About:
    found = about(view, f"{command} --corrupt {typed(pair[1])}")
    return replace(found, intervention=f"patched with the list {typed(pair[1])}, a place at a time")


# -- many places --------------------------------------------------------------------------------


@st.fragment
def _whole(view: View, pair: Pair) -> None:
    """All of ``analyses.patch_blanks`` for this pair."""
    from analyses.patch_blanks import body as patch_blanks

    box = st.expander(
        "Whole regions, and single heads, in both directions", key=WHOLE, on_change="rerun"
    )
    if not box.open:
        return
    with box:
        found: PatchResult = computed(
            ("patch_blanks", view.opened.hash, pair),
            lambda progress: patch_blanks.patch_pairs(
                view.opened.model, runs_of(view.opened, pair, "denoising").pairs, progress=progress
            ),
            "Patching every place, in both directions",
        )
        words = patch_blanks.summary(found)[1:]  # its first line counts pairs
        if not found.understood.any():
            st.info(plain(" ".join(words)))
            return
        panel(
            patch_blanks.figure(found),
            "patch_blanks",
            _about(view, pair, "-m analyses.patch_blanks"),
            lambda: _whole_rows(found),
            "what each place carries by itself, in both directions: single positions, the regions "
            "taken together, and the outputs, keys and values of single heads.",
            "that a place without effect does not matter, or that other pairs are like this one; "
            "`python -m analyses.patch_blanks` averages over many.",
        )
        st.text("\n".join(words))


def _whole_rows(found: PatchResult) -> list[dict[str, Any]]:
    from analyses.patch_blanks import body as patch_blanks

    data = patch_blanks.to_json(found)
    return [*data["by_place"], *data["by_head"]]
