"""The two lists of the page "Patch": the sidebar's, and a corrupted one to exchange with.

pair = draw_lists(opened, digits)           # None while they cannot be compared
runs = runs_of(opened, pair, "denoising")
"""

from __future__ import annotations

import html
import random
from collections.abc import Callable, Sequence

import streamlit as st

from analyses.one_list.patch import Direction
from analyses.one_list.patch.body import both_runs, one_digit_changed
from analyses.one_list.patch.words import pair_words
from explorer.parts.elements import plain, refuse
from explorer.parts.speech import says
from explorer.server import session
from explorer.server.models import OpenModel
from interp.methods.pair_runs import PairRuns
from interp.support.errors import UserError
from interp.task import SortTask, typed

Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""The clean list and the corrupted one."""


_STYLE = """<style>
div.lists {overflow-x: auto;}
div.lists table {border-spacing: 0; font-variant-numeric: tabular-nums; margin: 0;}
div.lists th {text-align: left; font-weight: 400; padding: 1px 12px 1px 0; white-space: nowrap;}
div.lists td {text-align: center; padding: 0 4px; min-width: 1.35em;
  border: 2px solid transparent;}
div.lists td.other {border: 2px dashed #D55E00; font-weight: 700;}
</style>"""


def draw_lists(opened: OpenModel, clean: tuple[int, ...]) -> Pair | None:
    """The field of the corrupted list; None, and a message, while the two cannot be compared."""
    columns = st.columns([5, 3, 3, 3], vertical_alignment="bottom")
    automatic = typed(one_digit_changed(opened.task, clean))
    text = columns[0].text_input(
        "Corrupted list",
        key=session.CORRUPT,
        placeholder=automatic,
        max_chars=session.LONGEST_TEXT,
        help="As long as the list in the sidebar, which is the clean one. Left empty it is that "
        f"list with another last {opened.task.symbols.word}.",
    )
    message = st.container()
    for column, (words, preset) in zip(columns[1:], PRESETS.items(), strict=True):
        column.button(says(words), on_click=preset, args=(clean, opened.task), width="stretch")
    session.write_link(corrupt=text)
    try:
        corrupt = opened.task.parse(text.strip() or automatic)
        runs = runs_of(opened, (clean, corrupt), "denoising")
    except UserError as error:
        refuse(message, error)
        return None
    st.html(table({"clean": cells_of(clean), "corrupted": cells_of(corrupt)}, "clean"))
    st.caption(plain(says(pair_words(runs.pairs))))
    return clean, corrupt


def set_corrupt(corrupt: Sequence[int]) -> None:
    """Type it into the field; for callbacks."""
    session.put(session.CORRUPT, typed(corrupt))


def _change_one(clean: tuple[int, ...], task: SortTask) -> None:
    at = random.randrange(len(clean))
    other = random.choice([digit for digit in task.alphabet if digit != clean[at]])
    set_corrupt([other if i == at else digit for i, digit in enumerate(clean)])


def _change_all(clean: tuple[int, ...], task: SortTask) -> None:
    """A random list that has another answer."""
    while task.answer(drawn := random.choices(task.alphabet, k=len(clean))) == task.answer(clean):
        pass
    set_corrupt(drawn)


def _swap(clean: tuple[int, ...], task: SortTask) -> None:
    """Exchange the two; the field may be empty, or hold no list."""
    try:
        corrupt = task.parse(st.session_state[session.CORRUPT])
    except UserError:
        corrupt = one_digit_changed(task, clean)
    session.put(session.LIST, typed(corrupt))
    set_corrupt(clean)


PRESETS: dict[str, Callable[[tuple[int, ...], SortTask], None]] = {
    "Change one digit": _change_one,
    "Random list": _change_all,
    "Swap the two": _swap,
}
"""Corrupted lists at the press of a button."""


def runs_of(opened: OpenModel, pair: Pair, way: Direction) -> PairRuns:
    """The runs between which is patched.

    Raises:
        UserError: if the two lists cannot be compared.
    """
    return _runs(opened.hash, pair, way, opened)


@st.cache_resource(max_entries=16, show_spinner=False)  # a few megabytes each
def _runs(hash_: str, pair: Pair, way: Direction, _opened: OpenModel) -> PairRuns:
    return both_runs(_opened.model, *pair, way)


# -- lists as text ------------------------------------------------------------------------------


def table(rows: dict[str, list[str]], like: str) -> str:
    """HTML: lists below each other, digit by digit; what differs from the row ``like`` is marked,
    in words, too."""
    lines = "".join(
        f'<tr class="{name}"><th scope="row">{name}</th>'
        + "".join(_cell(*pair) for pair in zip(cells, rows[like], strict=True))
        + "</tr>"
        for name, cells in rows.items()
    )
    return f'{_STYLE}<div class="lists" tabindex="0"><table>{lines}</table></div>'


def _cell(text: str, like: str) -> str:
    text = html.escape(text)
    if text == html.escape(like):
        return f"<td>{text}</td>"
    return f'<td class="other" aria-label="{text}, differs">{text}</td>'


def cells_of(digits: Sequence[int]) -> list[str]:
    """A text for each digit."""
    return [str(digit) for digit in digits]
