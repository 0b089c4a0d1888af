"""The page "Training", continued: one drop of accuracy, taken apart; one that comes with the
package, or the first of a run of one's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import streamlit as st

from analyses.crash import EXPERIMENT, SHIPPED, SHIPPED_RUN
from analyses.runs.training_curves.figure import short_name
from analyses.ship.shipped import run_subject
from explorer.pages.training.shift import show
from explorer.parts.elements import refuse
from explorer.parts.panel import OF_MANY, About
from explorer.parts.study import SEED, Study, say_shipped, settings_of
from explorer.server import runs, session
from explorer.server.places import Places
from interp.support.errors import UserError
from training.runs import RUN_CONFIG

RUN = "training_drop"  # in the session
_IN_ADDRESS = "drop"
_THE_SHIPPED = "a small run without blanks"
_ABOUT = (
    "A run that has learned its task may forget it within a few steps, and learn it again. Here is "
    "one such drop: the run was made again bit for bit up to some steps before it, and from there "
    "with one thing changed at a time."
)


@st.fragment
def draw_drop(places: Places) -> None:
    """The choice of a run, and its first drop."""
    there = _of_the_shipped()
    st.header(there.on_page.question)
    st.markdown(_ABOUT)
    own = runs.with_drops(places)
    session.choice(RUN, _IN_ADDRESS, [_THE_SHIPPED, *own], _THE_SHIPPED)
    chosen = _THE_SHIPPED
    if own:
        names = [_THE_SHIPPED, *own]
        chosen = st.selectbox("Run whose drop is shown", names, key=RUN, format_func=short_name)
    session.write_link(**{_IN_ADDRESS: "" if chosen == _THE_SHIPPED else chosen})
    if chosen == _THE_SHIPPED:
        if (found := there.shipped) is not None:
            say_shipped(found)
            show(there, found)
        return
    try:
        of_own = _of_own(places, chosen)
    except (UserError, OSError) as error:
        refuse(st.container(), error)
        return
    show(of_own)


def _of_the_shipped() -> Study:
    return _study(_THE_SHIPPED, run_subject(*SHIPPED), SHIPPED_RUN, Path(SHIPPED_RUN))


def _of_own(places: Places, name: str) -> Study:
    """Its recipe says all that its result depends on."""
    folder = places.find_run(name)
    recipe = hashlib.sha256((folder / RUN_CONFIG).read_bytes()).hexdigest()[:16]
    return _study(short_name(name), f"recipe {recipe}", name, folder)


def _study(name: str, subject: str, run: str, folder: Path) -> Study:
    """Of a run: how it is called, what a result of it is known by, and how a command names it."""
    settings = settings_of(EXPERIMENT)
    command = EXPERIMENT.command(settings, run=run, seed=SEED)
    of = About(name, subject, "", OF_MANY, SEED, command)
    return Study(EXPERIMENT, settings, of, lambda: folder)
