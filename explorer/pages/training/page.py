"""The page "Training": learning curves, and the model as it was at every checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import streamlit as st

from analyses.runs import variance_shift as shift
from analyses.runs.training_curves import EXPERIMENT, CurvesSettings
from analyses.runs.training_curves.body import arm_rows, arm_words, run_rows
from analyses.runs.training_curves.figure import MOST_RUNS, arms_figure, runs_figure, short_name
from explorer.pages.training.checkpoint import draw_checkpoint, draw_rates, draw_sweep
from explorer.pages.training.drop import draw_drop
from explorer.pages.training.shift import draw_shift
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse
from explorer.parts.panel import About, panel
from explorer.parts.sections import sections
from explorer.server import runs, session
from explorer.server.places import Places
from interp.support.errors import UserError

CURVES, SCALE, STUDY = "training_curves", "training_scale", "training_study"
RUN, STEP = "training_run", "training_step"
_FOLLOWED = "training_followed"  # the model whose run is shown, unless another was chosen
_SCALES = ("linear", "log")
_BETWEEN = "|"  # runs in the address
_LONGEST = 4000  # characters of them

Chosen = tuple[str, dict[int, str], int]
"""A run, the names of its checkpoints by step, and the step that the slider is at."""
_SECTIONS = {
    "curves": "Learning curves",
    "step": "The model at a step",
    "sweep": "All checkpoints",
    "shift": "Without dropout",
    "arms": "The arms of a study",
    "drop": "A drop of accuracy",
}
_INTRO = (
    "The model began as random numbers. Here is what was measured while it learned, and the model "
    "itself at the checkpoints that were kept: move the slider, and every figure of this page "
    "shows it as it was then."
)


def draw(view: View, places: Places) -> None:
    """The whole page."""
    st.title("How it learned")
    st.markdown(_INTRO)
    own = run_of(view.opened.name, runs.run_names(places))
    _follow(view.opened.name, own, places)
    if own is None:
        st.info(
            f"{plain(view.opened.name)} has no learning curve here"
            + (": it was written, not trained." if view.opened.truth else ".")
            + " Below are runs that have one."
        )
    _workbench(view, places, sections("training", _SECTIONS))


@st.fragment
def _workbench(view: View, places: Places, shown: Collection[str]) -> None:
    """What is chosen, and the parts that follow from it."""
    if shown == ["drop"]:
        draw_drop(places)
        return
    log = _scale()
    at = _choose_checkpoint(places) if shown != ["arms"] else None
    if "curves" in shown:
        chosen = _choose_runs(places)
        _curves(places, chosen, log, at[0] if at else None)
    if at:
        _at_a_step(view, places, at, log, shown)
    if "arms" in shown:
        st.header("The arms of a study")
        _arms(places, log)
    if "drop" in shown:
        draw_drop(places)


def _at_a_step(view: View, places: Places, at: Chosen, log: bool, shown: Collection[str]) -> None:
    run, steps, step = at
    if "step" in shown:
        st.header(f"The model at step {step}")
        draw_checkpoint(view, places, steps[step])
        draw_rates(places, steps[step])
    if "sweep" in shown:
        st.header("All checkpoints")
        draw_sweep(places, run, steps, step, log)
    if "shift" in shown:
        st.header(shift.EXPERIMENT.title)
        draw_shift(places, run, steps, step, log)


# -- what is chosen -----------------------------------------------------------------------------


def run_of(model: str, names: list[str]) -> str | None:
    """The run that a model comes from: of its own name, of its checkpoint's, or of its folder."""
    whole = model.partition("@")[0]
    if whole in names:
        return whole
    return next((name for name in names if Path(model).is_relative_to(Path(name))), None)


def _follow(model: str, own: str | None, places: Places) -> None:
    """When another model has been opened, show its run; a link says itself what to show."""
    before = st.session_state.get(_FOLLOWED)
    st.session_state[_FOLLOWED] = model
    linked = before is None and ("curves" in st.query_params or "run" in st.query_params)
    if own is None or linked or before == model:
        return
    st.session_state[CURVES] = [own]
    if own in runs.with_checkpoints(places):
        st.session_state[RUN] = own
        _, _, step = model.partition("@")
        st.session_state[STEP] = step


def _scale() -> bool:
    session.choice(SCALE, "steps", _SCALES, _SCALES[0])
    scale = st.radio("Steps", _SCALES, key=SCALE, horizontal=True)
    session.write_link(steps="" if scale == _SCALES[0] else scale)
    return scale == "log"


def _choose_runs(places: Places) -> list[str]:
    names = runs.run_names(places)
    if CURVES not in st.session_state:
        linked = st.query_params.get("curves", "")[:_LONGEST].split(_BETWEEN)
        st.session_state[CURVES] = [name for name in linked if name] or names[:2]
    session.from_link(CURVES, "curves", "")  # kept while other pages are shown
    wanted = st.session_state[CURVES]
    st.session_state[CURVES] = [name for name in wanted if name in names][:MOST_RUNS]
    if missing := [name for name in wanted if name not in names]:
        refuse(st.container(), f"{missing[0][:80]!r} is no run whose curves this page may draw")
    chosen = st.multiselect(
        "Runs whose curves are drawn",
        names,
        key=CURVES,
        format_func=short_name,
        max_selections=MOST_RUNS,
        placeholder="Choose runs",
    )
    session.write_link(curves=_BETWEEN.join(chosen))
    return chosen


def _choose_checkpoint(places: Places) -> Chosen | None:
    names = runs.with_checkpoints(places)
    if not names:
        st.info(
            "No run with checkpoints here. Train one, and start the page where its `runs` folder "
            "is: `python training/train.py --max-len 10 --steps 600 --checkpoint-every 100`"
        )
        return None
    left, right = st.columns([1, 2], gap="medium")
    session.from_link(RUN, "run", names[0])
    if st.session_state[RUN] not in names:
        refuse(left, f"{st.session_state[RUN][:80]!r} is no run with checkpoints to open")
    session.allow(RUN, names, names[0])
    run = left.selectbox("Run to slide through", names, key=RUN, format_func=short_name)
    steps = places.checkpoints(run)
    with right:
        step = _slider(list(steps))
        if st.button(
            "Open this checkpoint in every page",
            on_click=session.choose_model,
            args=(steps[step], places.choices()),
        ):
            st.rerun()
    session.write_link(run=run, step=str(step))
    return run, steps, step


def _slider(steps: list[int]) -> int:
    """A slider over the steps; from a link, or from another run, the nearest one."""
    session.from_link(STEP, "step", "")
    value = st.session_state[STEP]
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else steps[-1]
    st.session_state[STEP] = min(steps, key=lambda step: abs(step - value))
    if len(steps) == 1:
        st.caption(f"This run kept one checkpoint, of step {steps[0]}.")
        return steps[0]
    return st.select_slider("Checkpoint: updates done", steps, key=STEP)


# -- curves -------------------------------------------------------------------------------------


def _logged(what: str, settings: CurvesSettings) -> About:
    """Of what was logged: no model is involved."""
    return About(what, "as logged", "", "no model is run", 0, EXPERIMENT.command(settings))


def _curves(places: Places, names: list[str], log: bool, run_at: str | None) -> None:
    found, kept = [], []
    for name in names:
        try:
            found.append(runs.curves(places, name))
            kept.append(name)
        except (UserError, OSError) as error:
            refuse(st.container(), error)
    if not found:
        st.info("Choose a run above to see what it logged.")
        return
    at = st.session_state.get(STEP) if run_at in kept else None
    without = [short_name(run.name) for run in found if not run.loss.steps]
    no_loss = f" No loss was kept of {plain(', '.join(without))}." if without else ""
    panel(
        runs_figure(found, log, at),
        "curves",
        _logged(f"{len(found)} runs", CurvesSettings(tuple(kept), log=log)),
        lambda: run_rows(found),
        "every point that was logged, none smoothed: the share of lists without a mistake, of the "
        "training batch before each update that was measured, and of the same held-out lists each "
        f"time; below the loss.{' Step 0 has no place on a logarithmic axis.' if log else ''}"
        f"{' The dashed line is the checkpoint below.' if at is not None else ''}" + no_loss,
        "how it sorts at any step, or that another seed would learn as fast.",
    )


# -- arms ---------------------------------------------------------------------------------------


def _arms(places: Places, log: bool) -> None:
    names = places.studies()
    if not names:
        st.info(
            "No study here. The results of the project's studies are in its repository, under "
            "`docs/studies`; your own come from `python -m training.study`."
        )
        return
    session.from_link(STUDY, "study", names[0])
    if st.session_state[STUDY] not in names:
        refuse(st.container(), f"{st.session_state[STUDY][:80]!r} is no study to open here")
    session.allow(STUDY, names, names[0])
    chosen = st.selectbox("Study", names, key=STUDY)
    session.write_link(study=chosen)
    try:
        study = runs.study_results(places, chosen)
    except (UserError, OSError) as error:
        refuse(st.container(), error)
        return
    st.markdown(plain(study.plan.description))
    measures = study.plan.measures
    panel(
        arms_figure(study, log),
        "arms",
        _logged(f"study {study.plan.name}", CurvesSettings(study=Path(chosen), log=log)),
        lambda: arm_rows(study),
        "the accuracy on training batches of every run that has begun, raw, arm by arm. Convergent "
        f"runs (median of the last {measures.convergent_steps} steps at least "
        f"{100 * measures.convergent_at:.0f} %) are thick lines with dots, the others thin and "
        "dotted. Above each panel how many of the ended runs are, and a 95 % interval (Wilson).",
        "that arms differ: with few runs the intervals are wide. The comparisons that the plan "
        "fixed are in `python -m analyses.replication`.",
    )
    st.caption("  \n".join(map(plain, arm_words(study))))
