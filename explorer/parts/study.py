"""An experiment that takes its time, on a page: shown at once where its result is shipped, else
asked for by a button and computed in the background, once for everybody; drawn with its finding,
its caveat and its downloads.

    for one in catalogue.on_page("inside"):
        study(view, one)

What it shows stands on the experiment's face (``OnPage``); the command beside the figure is made
from its settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from analyses.experiment import Experiment, OnPage, Outcome
from analyses.experiment.given import Given
from analyses.ship.shipped import Shipped, shipped
from explorer.parts.background import in_background
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse
from explorer.parts.own_lists import own_lists
from explorer.parts.panel import OF_MANY, About, panel
from explorer.parts.speech import says
from explorer.server import store as stores
from interp.figures import copied
from interp.support.errors import UserError
from interp.support.progress import Progress

SEED = 0
_OTHER_TASKS = (
    "This needs another task than that of the model that is open, whose right answer is {}. The "
    "page Patch takes every task."
)
_ROOM = 36  # pixels between an axis or a legend and the line at the foot


@dataclass(frozen=True)
class Study:
    """An experiment with all that its result depends on."""

    experiment: Experiment
    settings: Any
    of: About
    subject: Callable[[], Any]
    """Opens what the experiment is about."""
    given: Given | None = None
    """Lists of the visitor's own."""

    @property
    def key(self) -> tuple[Any, ...]:
        own = (self.given.sha256,) if self.given else ()
        return (self.experiment.name, self.of.model_hash, self.settings, SEED, *own)

    @property
    def shipped(self) -> Shipped | None:
        """The result that comes with the package; None where there is none."""
        return None if self.given else shipped(self.experiment, self.of.model_hash, self.settings)

    @property
    def on_page(self) -> OnPage:
        return self.experiment.on_page or OnPage("", "")

    def compute(self, progress: Progress) -> Outcome:
        experiment, settings = self.experiment, self.settings
        result = experiment.compute(self.subject(), settings, SEED, progress, lists=self.given)
        return self.experiment.outcome(result, self.given)


def settings_of(experiment: Experiment, quick: bool = False) -> Any:
    """As its command has them, or those that are quicker where there are such."""
    changed = experiment.on_page.quick if quick and experiment.on_page else None
    return replace(experiment.settings, **(changed or {}))


def study_of(
    view: View, experiment: Experiment, quick: bool = False, given: Given | None = None
) -> Study:
    """Of the page's model, as it is: the sidebar's list and intervention do not matter.

    Raises:
        UserError: for given lists that the experiment does not take.
    """
    settings = settings_of(experiment, quick)
    of = about_model(view, experiment, settings)
    if given is not None:
        of = about_given(of, experiment, settings, given)
        settings = experiment.for_lists(settings, given)
    return Study(experiment, settings, of, lambda: view.opened.model, given)


def about_given(of: About, experiment: Experiment, settings: Any, given: Given) -> About:
    """As ``of``, but made from lists of the visitor's own, which say how many they are."""
    own = experiment.takes_lists()
    told = {name: getattr(experiment.settings, name) for name in (own.counts, own.length) if name}
    settings = replace(settings, **told)
    command = experiment.command(settings, model=of.model, seed=SEED, lists=given.source)
    return replace(of, intervention=f"{len(given)} lists of {given.source}", command=command)


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


def finding(view: View, experiment: Experiment) -> None:
    """What it found over many lists, in its own words, where that is shipped for this model."""
    if (there := study_of(view, experiment).shipped) is not None:
        st.markdown(f"**Over many lists:** {plain(there.words[-1])}")


@st.fragment
def study(view: View, experiment: Experiment, quick: bool = False) -> None:
    """The whole section of an experiment about the page's model."""
    on_page = experiment.on_page or OnPage("", "")
    st.subheader(says(on_page.question or experiment.title))
    if experiment.needs_blanks and not view.opened.task.n_blanks:
        st.info("This model has no blanks, so there is nothing to probe.")
        return
    if experiment.refusal(view.opened.task):
        st.info(_OTHER_TASKS.format(view.opened.task.rule.words))
        return
    try:
        one = study_of(view, experiment, quick, own_lists(view, experiment))
    except UserError as error:
        refuse(st.container(), error)
        return
    outcome = asked_for(one)
    if outcome is None:
        return
    st.markdown(f"**{plain(says(outcome.words[-1]))}**")
    if isinstance(outcome, Shipped):  # the finding at once, the figure when it is wanted
        box = st.expander("Its figure and numbers", key=f"box {experiment.name}", on_change="rerun")
        if not box.open:
            return
    draw(one, outcome)
    with st.expander("All of it in words"):
        st.code(says("\n".join(outcome.words)), language=None, wrap_lines=True)
        asked = ", ".join(f"{name} {value}" for name, value in asdict(one.settings).items())
        st.caption(f"Seed {SEED}; {plain(asked)}.")


def asked_for(one: Study, before: str = "") -> Outcome | Shipped | None:
    """What came out: as it is shipped, or once somebody has asked for it and it has been computed.

    Args:
        before: above the button (default, below it: what the figure will show).
    """
    there = one.shipped
    if there is None and before:
        st.markdown(before)
    if there is not None and not stores.store().has(one.key):
        say_shipped(there)
    found: Outcome | None = in_background(
        one.key,
        one.experiment.title,
        one.compute,
        "Run" if there is None else "Run again",
        f"run {one.experiment.name}",
    )
    if found is None and there is None and not before:
        st.caption(says(f"**Shows:** {one.on_page.shows}"))
    return there if found is None else found


def say_shipped(there: Shipped) -> None:
    """That a result was not computed here and now."""
    words = "Computed beforehand, and part of the package."
    if not there.is_current:
        words += " The analysis has changed since: its numbers may be others now."
    st.caption(words)


def make_room(figure: go.Figure) -> None:
    """For the line at the foot, which every figure on a page has."""
    layout = figure.layout
    figure.update_layout(margin={"b": (layout.margin.b or 60) + _ROOM})
    figure.update_layout(height=layout.height + _ROOM)


def draw(
    one: Study, outcome: Outcome | Shipped, change: Callable[[go.Figure], Any] | None = None
) -> None:
    """Its figure with what it shows and does not show, and the downloads.

    Args:
        change: fits a copy of the figure into the page.
    """
    figure = copied(outcome.figure)
    titles = [note for note in figure.layout.annotations if note.yref == "paper" and note.y >= 1]
    if titles and (figure.layout.legend.y or 0) >= 1:  # it would lie on the panels' titles
        figure.update_layout(legend={"y": -0.02, "yanchor": "top", "x": 0, "xanchor": "left"})
    (change or make_room)(figure)
    panel(
        figure,
        one.experiment.name,
        one.of,
        lambda: outcome.rows,
        one.on_page.shows,
        one.experiment.caveat,
    )
