"""The page "Compare": the sidebar's model, A, beside another one, B, on the same list."""

from __future__ import annotations

from typing import Any

import streamlit as st

from analyses.experiment import Outcome
from analyses.one_list.compare_models import EXPERIMENT, CompareSettings
from analyses.one_list.compare_models.body import along_the_answer, same_heads, same_positions
from analyses.one_list.glance.result import AnswerRows
from explorer.pages.compare.pair import Pair
from explorer.parts.background import in_background
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse, strip, wait_for_list
from explorer.parts.meaning import OWN, are_wrong
from explorer.parts.one_list import SEED, kept
from explorer.parts.panel import panel
from explorer.parts.sections import sections
from explorer.parts.speech import says
from explorer.server import results, runs, session
from explorer.server.menu import task_of
from explorer.server.models import OpenModel, open_model
from explorer.server.places import Places
from interp.checkpoints import COMPILED
from interp.support.errors import UserError
from interp.task import Task

OTHER, OTHER_FOLDER = "compare_other", "compare_folder"
LAYER_B, HEAD_B = "compare_layer", "compare_head"
_SAME = "as A"
_LISTS = CompareSettings().lists
_SECTIONS = {
    "answers": "What they answer",
    "attention": "Where they look",
    "lists": "On other lists",
    "weights": "Their weights",
}
_INTRO = (
    "The model of the sidebar is **A**. Choose another model, or the same one at another point of "
    "its training, as **B**: both sort the sidebar's list, under the same intervention."
)
_TYPE_IT = "Type the folder of the model to compare with."
_NONE_FITS = f"No other model of A's task is here to be B. {_TYPE_IT}"


def draw(view: View, places: Places) -> None:
    """The whole page."""
    st.title("Two models side by side")
    st.markdown(says(_INTRO))
    other = _choose(view, places)
    if other is None:
        return
    if view.digits is None:
        wait_for_list()
        return
    pair = _pair(view, other, view.digits)
    if pair is None:
        return
    _say_what_differs(pair)
    shown = sections("compare", _SECTIONS)
    if "answers" in shown:
        _answers(pair)
    if "attention" in shown:
        st.header("Where they look")
        _regions(pair)
        _attention(pair)
    if "lists" in shown:
        st.header("On other lists")
        _by_length(pair)
    if "weights" in shown:
        st.header("Their weights")
        _weights(pair)


# -- what is chosen -----------------------------------------------------------------------------


def _choose(view: View, places: Places) -> OpenModel | None:
    """B, or None and a message."""
    choices, default = _offered(view, places)
    session.from_link(OTHER_FOLDER, "other", "")
    if OTHER not in st.session_state:
        linked = st.session_state[OTHER_FOLDER] or default
        st.session_state[OTHER] = linked if linked in choices else session.OTHER
    session.choice(OTHER, "other", [*choices, session.OTHER], default)
    name = st.selectbox("B: the other model", [*choices, session.OTHER], key=OTHER)
    if name == session.OTHER:
        name = st.text_input(
            "B: folder of a run, a checkpoint or an imported model",
            key=OTHER_FOLDER,
            max_chars=session.LONGEST_PATH,
        ).strip()
    message = st.container()
    session.write_link(other=name)
    if not name:
        st.info(_NONE_FITS if default == session.OTHER else _TYPE_IT)
        return None
    try:
        opened = open_model(places, name)
    except UserError as error:
        refuse(message, error)
        return None
    words = [f"{k}: {plain(m.name)}, {m.words}" for k, m in (("A", view.opened), ("B", opened))]
    message.caption("  \n".join(words))
    return opened


def _offered(view: View, places: Places) -> tuple[list[str], str]:
    """Models and checkpoints of A's task, and the one that is B at first: another than A, if
    possible one that reads the sidebar's list and was trained."""
    checkpoints = [
        name for run in runs.with_checkpoints(places) for name in places.checkpoints(run).values()
    ]
    there = dict.fromkeys([*places.choices(), *checkpoints])
    tasks = {name: task for name in there if (task := task_of(places, name)) is not None}
    fitting = [name for name, task in tasks.items() if task.rule == view.opened.task.rule]
    others = [name for name in fitting if name != view.opened.name]
    others.sort(key=lambda n: (not _reads(tasks[n], view.digits), n.startswith(COMPILED)))
    return fitting, others[0] if others else session.OTHER


def _reads(task: Task, digits: tuple[int, ...] | None) -> bool:
    try:
        task.checked_list(digits or task.example)
    except UserError:
        return False
    return True


def _pair(view: View, other: OpenModel, digits: tuple[int, ...]) -> Pair | None:
    try:
        if other.task.rule != view.opened.task.rule:
            raise UserError(f"its task is {other.task.rule}, A's is {view.opened.task.rule}")
        other.task.checked_list(digits)
    except UserError as error:
        refuse(st.container(), f"{says('B cannot sort this list')}: {error}")
        return None
    try:
        view.treatment.check(other.model.config, len(digits))
    except UserError as error:
        st.warning(plain(f"B is shown as it is, only A is intervened on: {error}"))
        return Pair(view.opened, other, digits, view.treatment, True)
    return Pair(view.opened, other, digits, view.treatment, False)


def _say_what_differs(pair: Pair) -> None:
    if pair.a.hash == pair.b.hash:
        st.info("A and B are the same weights: every difference below must be 0.")
    if pair.treatment:
        where = "A alone" if pair.b_as_it_is else "both"
        st.caption(f"**Intervened on, {where}:** {plain(pair.treatment.words(pair.a.task))}.")


# -- answers ------------------------------------------------------------------------------------


def _answers(pair: Pair) -> None:
    columns = st.columns(2, gap="medium")
    both = ((pair.a, pair.treatment), (pair.b, pair.b_treatment))
    for column, name, (opened, treatment) in zip(columns, pair.names, both, strict=True):
        said = results.answer(opened, pair.digits, treatment)
        with column:
            st.markdown(f"**{plain(name)}**, {OWN}")
            st.code(said.text, language=None, wrap_lines=True)
            wrong, n = len(said.wrong), len(said.outputs)
            st.markdown(
                says("**✗ Not sorted.** ") + f"{are_wrong(wrong, n)}."
                if wrong
                else says("**✓ Sorted.**")
            )
            st.html(strip(said, f"Outputs of {name}"))
    found = pair.outcome(CompareSettings("outputs"))
    for line in found.words[-1:]:  # the answers stand above
        st.markdown(plain(says(line)))
    _panel(
        pair,
        CompareSettings("outputs"),
        found,
        "above, the probability that each model gives to each right digit, each given the digits "
        "that it said before; a crossed, open symbol is a wrong output. Below, A's less B's.",
        "why they differ, or that they differ on other lists.",
    )


def _show(pair: Pair, settings: CompareSettings, shows: str, proves_not: str) -> None:
    found = pair.outcome(settings)
    for line in found.words:
        st.markdown(plain(says(line)))
    _panel(pair, settings, found, shows, proves_not)


def _panel(
    pair: Pair, settings: CompareSettings, found: Outcome, shows: str, proves_not: str
) -> None:
    key, of = f"compare_{settings.part}", pair.about(settings)
    panel(found.figure, key, of, lambda: found.rows, shows, proves_not)


# -- attention ----------------------------------------------------------------------------------

_NO_MATCH = (
    "that heads of the same number do the same work: heads of models that were trained apart do "
    "not correspond. Nor that what is looked at is used."
)


def _regions(pair: Pair) -> None:
    if not same_heads(*_answer_rows(pair)):
        st.warning("A and B have other numbers of layers or heads: shown beside each other only.")
    _show(
        pair,
        CompareSettings("regions"),
        "what share of its attention every head gives each part of the sequence, mean over the "
        "rows that answer, along the right answer, given back to both; and A's share less B's, of "
        "the parts that both have.",
        _NO_MATCH,
    )


def _answer_rows(pair: Pair) -> tuple[AnswerRows, AnswerRows]:
    """Attention of both along the right answer."""
    settings = CompareSettings("attention")
    both = pair.subject(settings)
    return kept(
        ("answer rows", pair.key(settings)),
        lambda _: (along_the_answer(both.a, SEED), along_the_answer(both.b, SEED)),
    )


@st.fragment
def _attention(pair: Pair) -> None:
    st.subheader("One head, position by position")
    a, b = _answer_rows(pair)
    if not same_positions(a, b):
        st.warning(
            f"A has {a.task.n_blanks} blanks and B {b.task.n_blanks}: their positions are not the "
            "same, so that one map cannot be taken from the other. The shares by region above can "
            "be compared."
        )
        return
    one, other = _heads(a, b)
    _show(
        pair,
        CompareSettings("attention", *one, *other),
        "A's attention less B's: blue where A looks more, red where B does, white where they agree;"
        " the scale is centred on 0. Rows are the positions that answer, and both are given the "
        "right digits back, so that what they read is the same.",
        _NO_MATCH,
    )


def _heads(a: AnswerRows, b: AnswerRows) -> tuple[tuple[int, int], tuple[int, int]]:
    """The chosen head of A, and the one of B that it is compared with: by default the same."""
    layers, heads = a.pattern.shape[:2]
    session.clamp(session.LAYER, layers, layers - 1)
    session.clamp(session.HEAD, heads, 0)
    columns = st.columns(4)
    layer = columns[0].radio("A: layer", range(layers), key=session.LAYER, horizontal=True)
    head = columns[1].radio("A: head", range(heads), key=session.HEAD, horizontal=True)
    b_layer = _other(columns[2], "B: layer", LAYER_B, "other_layer", b.pattern.shape[0])
    b_head = _other(columns[3], "B: head", HEAD_B, "other_head", b.pattern.shape[1])
    session.write_link(layer=str(layer), head=str(head))
    one = (layer, head)
    other = (layer if b_layer is None else b_layer, head if b_head is None else b_head)
    if other[0] >= b.pattern.shape[0] or other[1] >= b.pattern.shape[1]:
        st.caption("B has no such head; its first one is shown.")
        other = (0, 0)
    return one, other


def _other(column: Any, words: str, key: str, name: str, n: int) -> int | None:
    choices = [_SAME, *map(str, range(n))]
    session.choice(key, name, choices, _SAME)
    chosen = column.radio(words, choices, key=key, horizontal=True)
    session.write_link(**{name: "" if chosen == _SAME else chosen})
    return None if chosen == _SAME else int(chosen)


# -- behaviour and weights ----------------------------------------------------------------------


@st.fragment
def _by_length(pair: Pair) -> None:
    settings = CompareSettings("lengths")
    key = pair.key(settings)

    def compute(progress: Any) -> Any:
        return EXPERIMENT.compute(pair.subject(settings), settings, SEED, progress)

    words = says(f"Sort {_LISTS} held-out lists with both")
    result = in_background(key, says("Sorting held-out lists"), compute, words, "compare lengths")
    if result is None:
        return
    found = EXPERIMENT.outcome(result)
    for line in found.words:
        st.markdown(plain(says(line)))
    _panel(
        pair,
        settings,
        found,
        f"the share of held-out lists of each length that come out without a mistake, {_LISTS} "
        "lists in all, the same for both, nothing intervened on. 95 % intervals (Wilson).",
        "a difference at one length: with few lists of each the intervals are wide.",
    )


def _weights(pair: Pair) -> None:
    _show(
        pair,
        CompareSettings("weights"),
        "the size (Frobenius norm) of every weight matrix, and the size of A less B as a share of "
        "theirs (their root mean square). The dotted line is √2, about where two unrelated "
        "matrices of one size lie.",
        "that they compute differently: other weights may compute the same.",
    )
