"""An experiment that takes its time, on a page: asked for by a button, computed once for everybody,
drawn with its finding, its caveat and its downloads.

    for one in catalogue.on_page("inside"):
        study(view, one)

What it shows and how long it takes stand on the experiment's face (``OnPage``); the command beside
the figure is made from its settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from analyses.experiment import Experiment, OnPage, Outcome
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse
from explorer.parts.panel import OF_MANY, About, panel
from explorer.server import store
from interp.support.errors import UserError
from interp.support.progress import Progress

SEED = 0
_ROOM = 36  # pixels between an axis or a legend and the line at the foot


@dataclass(frozen=True)
class Study:
    """An experiment with all that its result depends on."""

    experiment: Experiment
    settings: Any
    of: About
    subject: Callable[[], Any]
    """Opens what the experiment is about."""

    @property
    def key(self) -> tuple[Any, ...]:
        return self.experiment.name, self.of.model_hash, self.settings, SEED

    @property
    def on_page(self) -> OnPage:
        return self.experiment.on_page or OnPage("", "")

    @property
    def is_quick(self) -> bool:
        return bool(self.on_page.quick) and self.settings != self.experiment.settings

    def compute(self, progress: Progress) -> Outcome:
        result = self.experiment.compute(self.subject(), self.settings, SEED, progress)
        return self.experiment.outcome(result)


def settings_of(experiment: Experiment, quick: bool = False) -> Any:
    """As its command has them, or those that are quicker where there are such."""
    changed = experiment.on_page.quick if quick and experiment.on_page else None
    return replace(experiment.settings, **(changed or {}))


def study_of(view: View, experiment: Experiment, quick: bool = False) -> Study:
    """Of the page's model, as it is: the sidebar's list and intervention do not matter."""
    settings = settings_of(experiment, quick)
    of = about_model(view, experiment, settings)
    return Study(experiment, settings, of, lambda: view.opened.model)


def about_model(view: View, experiment: Experiment, settings: Any) -> About:
    """What a figure of the page's model, as it is, was made from."""
    name = view.opened.name
    return About(
        name,
        view.opened.hash,
        "",
        OF_MANY,
        SEED,
        experiment.command(settings, model=name, seed=SEED),
    )


@st.fragment
def study(view: View, experiment: Experiment, quick: bool = False) -> None:
    """The whole section of an experiment about the page's model."""
    one = study_of(view, experiment, quick)
    st.subheader(one.on_page.question or experiment.title)
    if experiment.needs_blanks and not view.opened.task.n_blanks:
        st.info("This model has no blanks, so there is nothing to probe.")
        return
    if why := experiment.refusal(view.opened.task):
        st.info(f"{why[0].upper()}{why[1:]}.")
        return
    outcome = asked_for(one)
    if outcome is None:
        return
    st.markdown(f"**{plain(outcome.words[-1])}**")
    draw(one, outcome)
    with st.expander("All of it in words"):
        st.code("\n".join(outcome.words), language=None, wrap_lines=True)
        asked = ", ".join(f"{name} {value}" for name, value in asdict(one.settings).items())
        st.caption(f"Seed {SEED}; {plain(asked)}.")


def asked_for(one: Study, words: str = "", before: str = "") -> Outcome | None:
    """What came out, once somebody has asked for it; until then a button, and None.

    Args:
        words: on the button (default: how long it takes).
        before: above it (default, below it: what the figure will show).
    """
    place = st.empty()
    if not store.store().has(one.key):
        with place.container():
            if not _button(one, words, before):
                return None
    place.empty()
    try:
        return store.computed(one.key, one.compute, one.experiment.title)
    except UserError as error:  # the model is not one that it can say anything about
        refuse(st.container(), error)
        return None


def _button(one: Study, words: str, before: str) -> bool:
    if before:
        st.markdown(before)
    takes = one.on_page.quick_takes if one.is_quick else one.on_page.takes
    words = words or (f"Run: about {takes}" if takes else "Run")
    if st.button(words, key=f"run {one.experiment.name}", icon=":material/play_arrow:"):
        return True
    if not before:
        st.caption(f"**Shows:** {one.on_page.shows}")
    return False


def draw(one: Study, outcome: Outcome, change: Callable[[go.Figure], Any] | None = None) -> None:
    """Its figure with what it shows and does not show, and the downloads.

    Args:
        change: fits a copy of the figure into the page.
    """
    figure = go.Figure(outcome.figure)
    if change:
        change(figure)
    else:
        layout = figure.layout
        figure.update_layout(margin={"b": (layout.margin.b or 60) + _ROOM})
        figure.update_layout(height=layout.height + _ROOM)
    panel(
        figure,
        one.experiment.name,
        one.of,
        lambda: outcome.rows,
        one.on_page.shows,
        one.experiment.caveat,
    )
