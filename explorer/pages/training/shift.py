"""The page "Training", continued: LayerNorms that expect the dropout of training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

from analyses.experiment import Outcome
from analyses.runs.training_curves.figure import short_name
from analyses.runs.variance_shift import EXPERIMENT
from analyses.runs.variance_shift.body import dropout_of
from analyses.ship.shipped import Shipped, course_subject
from explorer.parts.elements import plain, refuse
from explorer.parts.panel import OF_MANY, About
from explorer.parts.study import SEED, Study, asked_for, draw, make_room, settings_of
from explorer.server.models import open_model
from explorer.server.places import Places
from interp import figures
from interp.checkpoints import shipped_runs
from interp.support.errors import UserError

_ABOUT = (
    "Dropout makes the variance larger by which a LayerNorm divides. A run that is trained with "
    "dropout and measured without is measured with other LayerNorms than it was trained with. "
    "Here they divide by what they would have with dropout, and nothing else is changed."
)


@st.fragment
def draw_shift(places: Places, run: str, steps: dict[int, str], step: int, log: bool) -> None:
    """All checkpoints of the run that the slider goes through; a line where it stands."""
    settings = settings_of(EXPERIMENT)
    try:
        folder = places.find_run(run)
        subject = _subject(places, run, steps)
    except (UserError, OSError) as error:
        refuse(st.container(), error)
        return
    try:
        dropout_of(folder)
    except UserError as error:  # nothing is wrong with a run that has no dropout
        st.info(f"Nothing to show here: {plain(str(error))}.")
        return
    st.markdown(_ABOUT)
    command = EXPERIMENT.command(settings, run=run, seed=SEED)
    of = About(short_name(run), subject, "", OF_MANY, SEED, command)

    def at_step(figure: go.Figure) -> None:
        make_room(figure)
        figure.layout.xaxis.type = "log" if log else "linear"
        line = {"color": figures.GREY, "width": 2, "dash": "dash"}
        figure.add_vline(x=step, line=line)

    show(Study(EXPERIMENT, settings, of, lambda: folder), change=at_step)


def _subject(places: Places, run: str, steps: dict[int, str]) -> str:
    """What a result is known by: the weights of every checkpoint, of a run of one's own."""
    if run in shipped_runs():
        return course_subject(run)
    hashes = " ".join(open_model(places, name).hash for name in steps.values())
    return f"checkpoints {hashlib.sha256(hashes.encode()).hexdigest()[:16]}"


def show(
    of: Study,
    found: Outcome | Shipped | None = None,
    change: Callable[[go.Figure], None] | None = None,
) -> None:
    """What was found; where it is not given, once somebody has asked for it."""
    found = asked_for(of) if found is None else found
    if found is None:
        return
    st.markdown(f"**{plain(found.words[-1])}**")
    draw(of, found, change)
    with st.expander("All of it in words"):
        st.code("\n".join(found.words), language=None, wrap_lines=True)
