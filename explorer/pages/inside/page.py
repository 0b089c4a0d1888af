"""The page "Inside": the logit lens, who writes an output, neurons by their effect, and probes.

All but the last section is of the list in the sidebar, under what the sidebar says is done.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

import streamlit as st

from analyses.experiment import Outcome, catalogue
from analyses.one_list import direct, lens, neurons, position
from explorer.pages.inside import views as inside_views
from explorer.parts.controls import View
from explorer.parts.elements import plain, wait_for_list
from explorer.parts.one_list import show
from explorer.parts.sections import sections
from explorer.parts.speech import says
from explorer.parts.study import finding
from explorer.server import results, session
from explorer.server.places import Places
from interp.task import Region, SortTask

SHOW, POSITION, OUTPUT = "inside_show", "inside_pos", "inside_output"
_CHOICES = {
    "outputs": "outputs",
    "digits": "the list",
    "blanks": "blanks",
    "all": "all positions",
}
_SECTIONS = {
    "lens": "Reading it half-way",
    "parts": "Who writes an output",
    "neurons": "Neurons",
    "many": "Over many lists",
}
_WELCOME = (
    "Between the list and the answer there are layers, and in each of them heads and neurons that "
    "add something to what every position holds (its *residual stream*). Three ways to look at it: "
    "read the stream half-way, ask who wrote an output, and take single neurons away."
)
_LENS_LIMIT = (
    "that something is **not** there: the lens reads the directions that the model's last step "
    "reads, and what is stored in others it does not see. The compiled sorter `slots` holds the "
    "whole answer at its blanks, and the lens sees nothing of it there. Nor does it show that what "
    "is there is used."
)


def draw(view: View, places: Places) -> None:
    """The whole page."""
    del places
    st.title("Inside the model")
    st.markdown(_WELCOME)
    if view.digits is None:
        wait_for_list()
        return
    finding(view, catalogue.experiment("logit_lens"))
    shown = sections("inside", _SECTIONS)
    if view.treatment and shown != ["many"]:
        st.markdown(f"All of one list below is under the intervention: {plain(view.words)}.")
    if "lens" in shown:
        _lens(view)
        _position(view, view.digits)
    if set(shown) & {"parts", "neurons"}:
        _output(view, view.digits, shown)
    if "many" in shown:
        st.header("Over many lists")
        inside_views.many_lists(view)


# -- the lens -----------------------------------------------------------------------------------


@st.fragment
def _lens(view: View) -> None:
    """Every layer at the positions in view."""
    task = view.opened.task
    choices = [show for show in get_args(lens.Show) if _has(task, show)]
    session.choice(SHOW, "lens", choices, "outputs")
    chosen = st.radio(
        "Positions", choices, key=SHOW, format_func=_CHOICES.__getitem__, horizontal=True
    )
    session.write_link(lens=chosen)
    found = show(
        view,
        lens.EXPERIMENT,
        lens.LensSettings(show=chosen),
        "lens",
        "what the model would say at each position if it ended after that layer: the letter is "
        "the most probable token (_ is BLANK, S is SEP), the colour its probability. Rows go from "
        "the embedding down to the model's own output (✗: a wrong one); columns name the position "
        "and the token that it holds. Before SEP nothing was trained to be said.",
        _LENS_LIMIT,
    )
    _words(found)


def _has(task: SortTask, show: str) -> bool:
    return show != "blanks" or bool(task.region(Region.BLANKS))


@st.fragment
def _position(view: View, digits: tuple[int, ...]) -> None:
    """The whole distribution at one position."""
    task = view.opened.task
    labels, emit = task.labels(len(digits)), task.output_rows(len(digits))
    rows = labels[emit.start : emit.stop]
    choices = [*rows, *labels[task.max_len - len(digits) : emit.start]]
    session.choice(POSITION, "pos", choices, rows[0])
    pos = st.selectbox(
        "One position, layer by layer",
        choices,
        key=POSITION,
        help="The last blank (SEP in a model without blanks) emits the first output, out 0 the "
        "second, and so on. Blanks and the list follow.",
    )
    session.write_link(pos=pos)
    show(
        view,
        position.EXPERIMENT,
        position.PositionSettings(pos=pos),
        "position",
        "the probability of each token at this position, as read after every layer.",
        _LENS_LIMIT,
    )


# -- one output ---------------------------------------------------------------------------------


@st.fragment
def _output(view: View, digits: tuple[int, ...], shown: Collection[str]) -> None:
    """Who writes one output: parts, then neurons."""
    said = results.answer(view.opened, digits, view.treatment)
    names = {
        str(i): f"output {i}: {one.said}" + ("" if one.right else f" ✗ (right: {one.should_be})")
        for i, one in enumerate(said.outputs)
    }
    session.choice(OUTPUT, "output", list(names), "0")
    chosen = st.selectbox("Output", list(names), key=OUTPUT, format_func=names.__getitem__)
    session.write_link(output=chosen)
    st.markdown(
        says(
            "Its *margin* is the logit of the right digit minus that of the strongest other token: "
            "positive where the output is right. All outputs before it are the model's own."
        )
    )
    if "parts" in shown:
        _direct(view, int(chosen))
    if "neurons" in shown:
        _neurons(view, int(chosen))


def _direct(view: View, output: int) -> None:
    st.subheader("Parts: direct logit attribution")
    found = show(
        view,
        direct.EXPERIMENT,
        direct.DirectSettings(output=output),
        "direct",
        "the margin as a sum: so much from the embedding of the row's own token and position, from "
        "each head, from each MLP, and from biases. Blue is for the right digit, vermillion for "
        "the other one. On the right, from where each head gathered its share (*blanks* are all "
        "but the last; a head whose output was patched gathered it nowhere).",
        "who worked the answer out: what a part does through later ones is counted as theirs. "
        "LayerNorms are held at their scales in this pass; a part that changes the scale is not "
        "charged with it. And it is one output of one list.",
    )
    _words(found)


@st.fragment
def _neurons(view: View, output: int) -> None:
    """Neurons of a layer, by what their loss costs."""
    st.subheader("Neurons by their effect")
    n_layers = view.opened.model.config.n_layers
    session.clamp(session.LAYER, n_layers, n_layers - 1)
    layer = st.radio("Layer", range(n_layers), key=session.LAYER, horizontal=True)
    session.write_link(layer=str(layer))
    found = show(
        view,
        neurons.EXPERIMENT,
        neurons.NeuronSettings(output=output, layer=layer),
        "neurons",
        "the 20 neurons whose loss changes the margin most. Bars: what the margin loses when the "
        "neuron alone is set to zero at all positions and the rest of the model runs on, exactly. "
        "Diamonds: what it writes for the margin directly, at the output's own row. In the last "
        "layer the two differ by the LayerNorm alone, which scales the shorter stream up again and "
        "so gives back much of what is lost. All of it on this one list.",
        "what a neuron does on other lists. Zero may be far from what a neuron ever is, and "
        "neurons that stand in for each other show little when they go one at a time.",
        waiting="Setting every neuron to zero in turn",  # of earlier layers up to a second
    )
    _words(found)
    _table(found)


def _table(found: Outcome) -> None:
    number = st.column_config.NumberColumn
    st.dataframe(
        found.rows,
        height=260,
        hide_index=True,
        key="neuron_table",
        column_config={
            "neuron": number("neuron", format="%d"),
            "lost_when_zeroed": number("lost when zeroed", format="%+.4f"),
            "written_directly": number("written directly", format="%+.4f"),
            "activation_at_row": number("activation at the row", format="%.3f"),
            "largest_activation": number("largest activation", format="%.3f"),
            "largest_at": "at position",
        },
    )
    st.caption("All active neurons, of this one list; a click on a column's head orders them.")


def _words(found: Outcome) -> None:
    st.code(says("\n".join(found.words)), language=None, wrap_lines=True)
