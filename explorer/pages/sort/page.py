"""The page "Sort": what the model reads, what it answers, and its answer step by step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import streamlit as st

from analyses.one_list import answer
from analyses.one_list.answers import Answer
from explorer.pages.sort import steps as sort_steps
from explorer.parts.by_click import intervene, tools_for, touched
from explorer.parts.controls import View
from explorer.parts.elements import plain, sentences, strip, wait_for_list
from explorer.parts.meaning import OWN, are_wrong, outputs, say_meaning
from explorer.parts.one_list import about_list, outcome, show
from explorer.parts.panel import downloads, ready
from explorer.parts.rates import scored
from explorer.parts.sections import sections
from explorer.parts.speech import says
from explorer.parts.tokens import Clicked, sequence
from explorer.server import results, session
from explorer.server.models import OpenModel
from explorer.server.places import Places
from interp.answers.treatment import Treatment

_WHOLE = answer.AnswerSettings()
SHOWN_AS = "answer_as"  # the choice between these, in the session and in the address
TOKENS, FIGURE = "tokens", "figure"
_MOST_CHANGES = 12  # named in the sentence; the strip marks all of them

_SECTIONS = {"answer": "What it answers", "step": "Step by step"}
_CHANGE = "Change the list, close off the blanks, and see where the answer comes from."
_WELCOME = (
    "Nobody programmed it: it saw random lists and their right answers. Between the two it may be "
    f"given meaningless BLANK tokens to compute in. {_CHANGE}"
)
_BY_HAND = (
    "This one was not trained: every number in it was written by a program, so that its algorithm "
    "is known."
)


def draw(view: View, places: Places) -> None:
    """The whole page."""
    del places
    truth = view.opened.truth
    came = "taught itself" if truth is None else "was written"
    st.title(says(f"A transformer that {came} to sort"))
    if view.digits is None:
        wait_for_list()
        return
    st.markdown(says(_WELCOME) if truth is None else f"{_BY_HAND} {truth.words} {_CHANGE}")
    shown = sections("sort", _SECTIONS)
    _workbench(view, shown)
    if "answer" in shown and view.treatment and results.is_of_any_list(view.treatment):
        _sample(view.opened, view.treatment)


@st.fragment
def _workbench(view: View, shown: Collection[str]) -> None:
    """The sequence, the answer and its steps, which the sequence plays."""
    digits = view.digits or ()
    with st.spinner(says("Sorting")):
        whole = results.answer(view.opened, digits, Treatment())
        said = results.answer(view.opened, digits, view.treatment)
    step = sort_steps.chosen(len(said.outputs))
    if _sequence(view, said, step):
        st.rerun()
    if "answer" in shown:
        _answers(view, whole, said)
    if "step" in shown:
        sort_steps.steps(view, whole, said)


# -- the sequence -------------------------------------------------------------------------------


def _sequence(view: View, said: Answer, step: int | None) -> bool:
    """Whether the intervention was changed by a click, so that all of the page is another."""
    task, changed = view.opened.task, touched(view)

    def on_click(clicked: Clicked) -> None:
        if clicked.step is None:
            intervene(view, clicked)
        else:
            sort_steps.go(min(clicked.step, len(said.outputs) - 1))

    found = sequence(
        task,
        said,
        results.attention(view.opened, said.digits, view.treatment),
        key="sort sequence",
        touched=changed,
        step=step,
        tools=tools_for(view),
        on_click=on_click,
    )
    note = " Hatched: intervened on." if changed else ""
    speaks = "last blank" if task.n_blanks else "SEP"
    sentences(
        "all tokens in order, each region counted from 0. The list comes first; then SEP"
        + (f" and {task.n_blanks} BLANK tokens (_)" if task.n_blanks else "")
        + f". The {speaks} says the first output, each output the next one; the dashed one is the "
        f"last, which need not be read.{note} Blue: what the token that is pointed at looks at, in "
        "percent; orange: what looks at it; the mean over the heads that are chosen.",
        "that every position is used: a model may leave what it is given alone, and attention may "
        "rest where it does no harm.",
    )
    return found


# -- the answer ---------------------------------------------------------------------------------


def _answers(view: View, whole: Answer, said: Answer) -> None:
    """The answer, beside the one under the intervention where there is one."""
    st.header("What it answers")
    session.choice(SHOWN_AS, SHOWN_AS, (TOKENS, FIGURE), TOKENS)
    st.radio("Show outputs as", (TOKENS, FIGURE), key=SHOWN_AS, horizontal=True)
    session.write_link(**{SHOWN_AS: st.session_state[SHOWN_AS].replace(TOKENS, "")})
    untouched = replace(view, treatment=Treatment())
    if not view.treatment:
        _answer(untouched, whole, "As it is", "answer")
        return
    _changes(view, whole, said)
    if view.treatment and results.is_of_any_list(view.treatment):
        say_meaning(view)
    left, right = st.columns(2, gap="medium")
    with left:
        _answer(untouched, whole, "As it is", "answer")
    with right:
        _answer(view, said, "Under the intervention", "changed_answer", whole)


def _changes(view: View, whole: Answer, said: Answer) -> None:
    """Which outputs are others under the intervention."""
    changed, n = said.changed_from(whole), len(said.outputs)
    if not changed:
        words = f"**⇄ No output changes** (of {n})"
    else:
        pairs = [
            f"out {i}: {whole.outputs[i].said} → {said.outputs[i].said}"
            for i in changed[:_MOST_CHANGES]
        ]
        more = len(changed) - len(pairs)
        verb = "changes" if n == 1 else "change"
        words = f"**⇄ {len(changed)} of {outputs(n)} {verb}**: {'; '.join(pairs)}"
        words += f"; and {more} more, marked ⇄" if more else ""
    st.markdown(f"{words}. Intervened on: {plain(view.words)}.")


def _answer(view: View, said: Answer, name: str, key: str, before: Answer | None = None) -> None:
    with st.container(key=key):
        st.markdown(f"**{name}**, {OWN}")
        st.code(said.text, language=None, wrap_lines=True)
        _verdict(said)
        file = key.replace("answer", "probabilities")
        proves_not = "that it sorts other lists too, or how it does it."
        given = f"{OWN} before each"
        if st.session_state[SHOWN_AS] == FIGURE:
            shows = f"the probability of each token at every output, {given}."
            show(view, answer.EXPERIMENT, _WHOLE, file, shows, proves_not)
            return
        st.html(strip(said, f"Outputs: {name}", before))
        found = outcome(view, answer.EXPERIMENT, _WHOLE)
        of = about_list(view, answer.EXPERIMENT, _WHOLE)
        with st.container(horizontal=True):
            sentences(
                f"the model's own answer, {given}; below each its probability, and when one points "
                "at it, what it would have said instead."
                + (" ⇄ marks what the intervention changed." if before else ""),
                proves_not,
            )
            downloads(lambda: ready(found.figure, of), file, of, lambda: found.rows)


def _verdict(said: Answer) -> None:
    n, wrong = len(said.outputs), len(said.wrong)
    if not wrong:
        st.markdown(
            says("**✓ Sorted.** ") + (f"All {n} outputs are right." if n > 1 else "It is right.")
        )
    else:
        st.markdown(says("**✗ Not sorted.** ") + f"{are_wrong(wrong, n)}.")


# -- other lists --------------------------------------------------------------------------------


def _sample(opened: OpenModel, mask: Treatment) -> None:
    """Exact match on held-out lists, with and without the mask."""
    st.header("On other lists")
    rates = scored(opened, (Treatment(), mask), "sort rates")
    if rates is None:
        return
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
