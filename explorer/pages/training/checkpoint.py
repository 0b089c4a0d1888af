"""The page "Training", continued: the model as it was at a checkpoint, and all of a run's."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analyses.one_list import glance
from analyses.runs import checkpoint_sweep
from analyses.runs.checkpoint_sweep.body import Sweep, figure, measure, rows
from analyses.runs.training_curves.figure import short_name
from analyses.ship.shipped import course_subject, shipped
from explorer.parts.background import in_background
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse, strip, wait_for_list
from explorer.parts.meaning import are_wrong
from explorer.parts.one_list import show
from explorer.parts.panel import OF_MANY, About, panel
from explorer.parts.rates import scored
from explorer.parts.speech import says
from explorer.parts.study import say_shipped
from explorer.server import results, session
from explorer.server.models import OpenModel, open_model
from explorer.server.places import Places
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.checkpoints import LoadedModel
from interp.stats import Estimate
from interp.support.errors import UserError

# -- one checkpoint -----------------------------------------------------------------------------


def draw_checkpoint(view: View, places: Places, name: str) -> None:
    """The sidebar's list and intervention, with the weights of that step."""
    if view.digits is None:
        wait_for_list()
        return
    try:
        opened = open_model(places, name)
        opened.task.checked_list(view.digits)
    except UserError as error:
        refuse(st.container(), error)
        return
    there = View(opened, view.digits, _fitting(view, opened))
    said = results.answer(opened, view.digits, there.treatment)
    done = f" Intervened on: {plain(there.words)}." if there.treatment else ""
    with st.container(key="checkpoint_answer"):
        wrong, n = len(said.wrong), len(said.outputs)
        verdict = "✓ Sorted." if not wrong else f"✗ Not sorted: {are_wrong(wrong, n)}."
        verdict = says(verdict)
        st.markdown(f"**{verdict}** {plain(opened.words)}.{done}")
        st.code(said.text, language=None, wrap_lines=True)
        st.html(strip(said, f"Outputs at this checkpoint: {opened.name}"))
    _attention(there)


def _fitting(view: View, opened: OpenModel) -> Treatment:
    """The sidebar's intervention where this checkpoint takes it, else none and a message."""
    try:
        view.treatment.check(opened.model.config, len(view.digits or ()))
    except UserError as error:
        refuse(st.container(), f"Shown as it is: {error}")
        return Treatment()
    return view.treatment


@st.fragment
def _attention(view: View) -> None:
    config = view.opened.model.config
    n_layers, n_heads = config.n_layers, config.n_heads
    session.clamp(session.LAYER, n_layers, n_layers - 1)
    session.clamp(session.HEAD, n_heads, 0)
    columns = st.columns(2)
    layer = columns[0].radio("Layer", range(n_layers), key=session.LAYER, horizontal=True)
    head = columns[1].radio("Head", range(n_heads), key=session.HEAD, horizontal=True)
    session.write_link(layer=str(layer), head=str(head))
    show(
        view,
        glance.EXPERIMENT,
        glance.GlanceSettings(layer, head),
        "checkpoint_attention",
        "on the left, what share of its attention every head gives each part of the sequence, mean "
        "over the rows that answer; on the right one head, row by row.",
        "that what is looked at is used, or that a head keeps its role from step to step.",
    )


def draw_rates(places: Places, name: str) -> None:
    """Exact match of the checkpoint, as it is and without its blanks."""
    try:
        opened = open_model(places, name)
    except UserError:  # said above
        return
    st.subheader("On other lists")
    acts = [("as it is", Treatment())]
    if opened.task.n_blanks:
        every = tuple(range(opened.task.n_blanks))
        acts.append(("blanks masked", Treatment(Act.MASK, every)))
    rates = scored(opened, [treatment for _, treatment in acts], "checkpoint rates")
    if rates is None:
        return
    columns = st.columns(2, gap="medium")
    for column, (words, _), rate in zip(columns, acts, rates, strict=False):
        with column:
            _rate(words, rate)
    st.caption(
        f"**Shows:** how many of {results.SAMPLE} held-out lists come out without a mistake"
        + ("; masked, no output may attend to any blank." if acts[1:] else ".")
        + "  \n**Does not prove:** that what the blanks hold is used: the mask also takes away the "
        "place where attention rests."
    )


def _rate(words: str, rate: Estimate) -> None:
    st.metric(f"Whole list right, {words}", f"{100 * rate.value:.1f} %")
    st.caption(
        f"95 % interval {100 * rate.low:.1f} to {100 * rate.high:.1f} % (Wilson), n = {rate.n} "
        "lists, seed 0"
    )


# -- all checkpoints ----------------------------------------------------------------------------


@st.fragment
def draw_sweep(places: Places, run: str, steps: dict[int, str], step: int, log: bool) -> None:
    try:
        opened = {at: open_model(places, name) for at, name in steps.items()}
    except UserError as error:
        refuse(st.container(), error)
        return
    config = checkpoint_sweep.SweepConfig()
    weights = tuple((at, model.hash) for at, model in opened.items())
    key = (checkpoint_sweep.EXPERIMENT.name, weights, config)
    models = {at: partial(_loaded, model) for at, model in opened.items()}
    if (sweep := shipped_sweep(run, weights)) is None:
        found = in_background(
            key,
            "Measuring the checkpoints",
            lambda progress: measure(models, config, 0, progress),
            f"Measure all {len(steps)} checkpoints",
            "measure checkpoints",
        )
        if found is None:
            return
        sweep = Sweep(short_name(run), found)
    panel(
        figure(sweep, step, log),
        "checkpoint_sweep",
        About(
            short_name(run),
            " to ".join(weights[at][1] for at in (0, -1)),  # the table has them all
            "",
            OF_MANY,
            0,
            checkpoint_sweep.EXPERIMENT.command(run=run),
        ),
        lambda: rows(sweep),
        f"for each checkpoint, of {config.lists} held-out lists, how many come out without a "
        "mistake: as it is, with dropout as it was trained, and with the blanks masked as "
        f"published; and, in {config.pairs} pairs of lists, how many outputs follow the list whose "
        "blanks were given to the last layers. 95 % intervals.",
        "when between two checkpoints a change came, or why.",
    )


def shipped_sweep(run: str, weights: tuple[tuple[int, str], ...]) -> Sweep | None:
    """What comes with the package of these very weights."""
    there = shipped(checkpoint_sweep.EXPERIMENT, course_subject(run))
    if there is None:
        return None
    found = Sweep.of_rows(short_name(run), there.rows)
    if tuple((one.step, one.hash) for one in found.checkpoints) != weights:
        return None
    say_shipped(there)
    return found


def _loaded(opened: OpenModel) -> LoadedModel:
    return opened.loaded
