"""The page "Tour": six steps through one list, for someone who has never patched anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from typing import cast
from urllib.parse import urlencode

import plotly.graph_objects as go
import streamlit as st

from analyses import patch_blanks
from analyses.experiment.minimal_pairs import PLACES
from analyses.one_list import glance, without
from analyses.one_list.answers import Answer, Attention, Output, attention_along
from analyses.one_list.glance.result import answer_rows
from analyses.one_list.patch.body import one_digit_changed
from analyses.one_list.without import Of
from analyses.one_list.without.body import MASKED, OF_B
from analyses.one_list.without.result import AblatedAnswers
from analyses.patch_blanks.result import PatchResult
from explorer.pages.tour import words as words
from explorer.parts.controls import View
from explorer.parts.elements import strip, wait_for_list
from explorer.parts.meaning import verdict
from explorer.parts.one_list import SEED, kept, outcome, show
from explorer.parts.panel import About, panel
from explorer.parts.tokens import sequence
from explorer.server import results, session
from explorer.server.places import Places
from interp import figures
from interp.answers.treatment import Treatment
from interp.task import typed

TOUR = "tour"  # the step, in the session and in the address
TITLES = (
    "The task",
    "The answer",
    "Where it looks",
    "Take something away",
    "Patch one place",
    "What follows",
)


def draw(view: View, places: Places) -> None:
    """One step of the tour."""
    del places
    st.title("A tour in six steps")
    session.from_link(TOUR, TOUR, "1")
    numbers = [str(number) for number in range(1, len(TITLES) + 1)]
    session.allow(TOUR, numbers, "1")
    step = int(_navigate(numbers))
    session.write_link(**{TOUR: str(step)})
    if view.digits is None:
        wait_for_list()
        return
    if view.treatment:
        st.caption("What the sidebar does to the model is left aside on this tour.")
    st.header(f"{step}. {TITLES[step - 1]}")
    _STEPS[step - 1](replace(view, treatment=Treatment()), view.digits)


def _navigate(numbers: list[str]) -> str:
    """The step that is chosen: by its name, or the next or previous one."""
    left, middle, right = st.columns([1, 6, 1], vertical_alignment="bottom")
    chosen: str = middle.radio(
        "Step",
        numbers,
        key=TOUR,
        horizontal=True,
        format_func=lambda number: f"{number}. {TITLES[int(number) - 1]}",
    )
    at = numbers.index(chosen)
    left.button("← Previous", disabled=at == 0, on_click=_go, args=(at, numbers), width="stretch")
    right.button(
        "Next →",
        disabled=at == len(numbers) - 1,
        on_click=_go,
        args=(at + 2, numbers),
        type="primary",
        width="stretch",
    )
    return chosen


def _go(step: int, numbers: list[str]) -> None:
    session.put(TOUR, numbers[min(len(numbers), max(1, step)) - 1])


def _say(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        st.markdown(sentence)


def _question(step: int, question: str, answer: Callable[[], str]) -> None:
    """A question, whose answer is worked out when it is asked for."""
    with st.container(border=True, key=f"question {step}"):
        st.markdown(f"**A question.** {question}")
        if st.toggle("Show the answer", key=f"reveal {step}"):
            st.markdown(answer())


def _try_it(page: str, sentence: str, view: View) -> None:
    """A link to another page with this model and list; the browser follows it in the same tab."""
    model, digits = view.opened.name, typed(view.digits or ())
    address = f"{page.lower()}?{urlencode({'model': model, 'list': digits})}"
    st.html(
        f'<p>Try it on the page <a href="{escape(address)}" target="_self">{page}</a>: '
        f"{sentence}</p>"
    )


# -- the steps ----------------------------------------------------------------------------------


def _the_task(view: View, digits: tuple[int, ...]) -> None:
    task = view.opened.task
    _say(words.task_words(task, digits))
    outputs = task.answer(digits)
    right = Answer(digits, tuple(Output(o, o, 1.0, o, 0.0, task) for o in outputs))
    sequence(task, right, _along(view, digits, outputs), key="tour sequence")
    _question(
        1,
        "How many tokens does the model read before it says the first output?",
        lambda: words.tokens_before_answer(task, digits),
    )
    _try_it("Sort", "type a list of your own, and step through the sequence.", view)


def _along(view: View, digits: tuple[int, ...], outputs: tuple[int, ...]) -> Attention:
    """The model's attention while these outputs are given back."""
    return kept(
        ("attention along", view.opened.hash, digits, outputs),
        lambda _: attention_along(view.opened.model, digits, outputs),
    )


def _the_answer(view: View, digits: tuple[int, ...]) -> None:
    said = results.answer(view.opened, digits, Treatment())
    _say(words.answer_words(said))
    st.html(strip(said, "Outputs"))
    _question(
        2,
        "Does one list show that it can sort, or that it cannot?",
        lambda: words.not_one_list(results.exact_match(view.opened, Treatment())),
    )
    _try_it("Sort", "see all twelve probabilities of every output.", view)


def _the_looks(view: View, digits: tuple[int, ...]) -> None:
    attention = results.attention(view.opened, digits, Treatment())
    head = words.most_concentrated(answer_rows(attention, view.opened.task))
    _say(words.head_words(head))
    show(
        view,
        glance.EXPERIMENT,
        glance.GlanceSettings(head.layer, head.head),
        "tour-attention",
        "where the positions that say outputs look; each row adds up to 1.",
        "that what is looked at is used.",
    )
    _question(
        3, f"Do the outputs need what is at {head.region}?", lambda: words.LOOKING_IS_NOT_USING
    )
    _try_it("Attention", "choose any head.", view)


def _take_away(view: View, digits: tuple[int, ...]) -> None:
    of: Of = "blanks" if view.opened.task.n_blanks else "heads"
    result = _without(view, of)
    of_blanks = of == "blanks"
    _say(words.without_words(result, MASKED, OF_B) if of_blanks else words.heads_words(result))
    show(
        view,
        without.EXPERIMENT,
        without.WithoutSettings(of),
        "tour-without",
        "what every output becomes: ✓ right, B that of list B, ✗ neither.",
        "what happens on other lists.",
    )
    if of_blanks:
        _question(
            4,
            "Both ways take away what the blanks hold about your list. If they differ, why?",
            lambda: verdict(result),
        )
        _try_it("Blanks", "choose some of the blanks, and count over many lists.", view)


def _patch(view: View, digits: tuple[int, ...]) -> None:
    other = one_digit_changed(view.opened.task, digits)
    result = _patched(view, digits, other)
    _say(words.pair_words(result, other))
    if not bool(result.understood[0]):
        st.info(
            "The model does not prefer the right one of these two digits in both runs, so there is "
            "no difference to bring back. Try another list."
        )
        return
    shares = words.carried(result, PLACES)
    st.markdown(words.carried_words(shares))
    command = patch_blanks.EXPERIMENT.command(
        _pair(digits, other), model=view.opened.name, seed=SEED
    )
    panel(
        places_figure(shares, view.opened.model.config.n_layers - 1),
        "tour-patch",
        About(view.opened.name, view.opened.hash, typed(digits), view.words, SEED, command),
        [{"place": p, "denoising": back, "noising": lost} for p, (back, lost) in shares.items()],
        "what each place carries by itself, in both directions; places are groups of positions, "
        "the answer row is the one whose output is read. The command sweeps all layers and heads.",
        "that a place without effect is idle: it may matter together with others.",
    )
    _question(5, "Which place can the model not do without?", lambda: words.lost_words(shares))
    _try_it("Patch", "choose the second list yourself, and click any place.", view)


def places_figure(shares: dict[str, tuple[float, float]], layer: int) -> go.Figure:
    """Bars by place, one for each direction."""
    fig, names = go.Figure(), list(shares)
    both = (
        ("brought back (denoising)", figures.BLUE, ""),
        ("lost without it (noising)", figures.ORANGE, "/"),
    )
    for number, (name, colour, shape) in enumerate(both):
        values = [100 * shares[place][number] + 0.0 for place in names]
        fig.add_bar(
            x=names,
            y=values,
            name=name,
            marker={"color": colour, "pattern": {"shape": shape}},
            text=[f"{value:.0f} %".replace("-0 %", "0 %") for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x}: %{y:.1f} %<extra>" + name + "</extra>",
        )
    fig.update_yaxes(title="share of the difference, %")
    title = f"What each place carries by itself, just before layer {layer}"
    figures.style(fig, title, height=400)
    return fig.update_layout(legend={"y": 1.0, "yanchor": "bottom"}, margin={"t": 90, "b": 40})


def _pair(digits: tuple[int, ...], other: tuple[int, ...]) -> patch_blanks.PatchConfig:
    return patch_blanks.PatchConfig(list=typed(digits), corrupt=typed(other))


def _patched(view: View, digits: tuple[int, ...], other: tuple[int, ...]) -> PatchResult:
    opened, pair = view.opened, _pair(digits, other)
    return kept(
        ("patch_blanks", opened.hash, pair, SEED),
        lambda progress: cast(
            PatchResult, patch_blanks.compute(opened.model, pair, SEED, progress)
        ),
        "Patching every place",
    )


def _what_follows(view: View, digits: tuple[int, ...]) -> None:
    if view.opened.task.n_blanks:
        own = _without(view, "blanks")
        st.markdown(verdict(own))
    with st.spinner("Opening the five sorters"):
        result = _without(view, "sorters")
    st.markdown("May the method be believed? It is tried where the truth is known.")
    _say(words.checked_words(result, MASKED, OF_B))
    show(
        view,
        without.EXPERIMENT,
        without.WithoutSettings("sorters"),
        "tour-sorters",
        "what every output becomes: ✓ right, B that of list B, ✗ neither; the first lines are of "
        "the model that is open.",
        "that the methods are right about a trained model, whose algorithm may be another one.",
        title="The same two ways, on sorters whose algorithm is known",
    )
    if view.opened.task.n_blanks:
        _question(
            6,
            "Is its algorithm that of a sorter that fares the same?",
            lambda: words.likeness(result, MASKED, OF_B),
        )
    _try_it("Truth", "open one of these sorters in every page.", view)


def _without(view: View, of: Of) -> AblatedAnswers:
    found = outcome(view, without.EXPERIMENT, without.WithoutSettings(of))
    return cast(AblatedAnswers, found.result)


_STEPS = (_the_task, _the_answer, _the_looks, _take_away, _patch, _what_follows)
