"""Interventions by a click on a blank: each sets the one that holds on every page.

sequence(..., tools=TOOLS, on_click=lambda clicked: intervene(view, clicked))
"""

from __future__ import annotations

from analyses.one_list.blanks import body
from explorer.parts.controls import View
from explorer.parts.one_list import SEED
from explorer.parts.tokens import Clicked, Tool
from explorer.server import session
from interp.answers.kinds import PUBLISHED_ACTS, Act
from interp.answers.treatment import Treatment, blank_positions

TOOLS = (
    Tool(Act.MASK.value, "mask", Treatment(Act.MASK).kind.way.explained),
    Tool(Act.ZERO.value, "drop", Treatment(Act.ZERO).kind.way.explained),
    Tool(
        Act.TRANSPLANT.value,
        "exchange",
        "Keys and values of these positions are those of another list of this length, from layer 1 "
        "on.",
    ),
)
"""What a click on a blank may do; with Shift, to all from the blank that was clicked before."""


def tools_for(view: View) -> tuple[Tool, ...]:
    """Those that there are for the model that is open."""
    return TOOLS if view.opened.task.n_blanks else ()


def intervene(view: View, clicked: Clicked) -> None:
    """Intervene so from now on; for callbacks, before any widget is drawn."""
    if clicked.tool in {tool.name for tool in TOOLS} and view.digits is not None:
        drawn = body.other_list(view.opened.model, view.digits, SEED)
        session.choose(changed(view.treatment, clicked, view.opened.task.n_blanks, drawn))


def changed(
    before: Treatment, clicked: Clicked, n_blanks: int, drawn: tuple[int, ...]
) -> Treatment:
    """What is done after that click: blanks to which the same was done already are let go.

    Args:
        n_blanks: of the model.
        drawn: the list that blanks are exchanged with, unless one is in use already.
    """
    act = Act(clicked.tool)
    same = before.act is act
    blanks = {blank for blank in clicked.blanks if 0 <= blank < n_blanks}
    blanks ^= set(before.blanks if same else ())
    if not blanks:
        return Treatment()
    other = (before.other if same else drawn) if act is Act.TRANSPLANT else ()
    return Treatment(act, tuple(sorted(blanks)), other)


def touched(view: View) -> tuple[int, ...]:
    """Positions that the treatment changes, or that it closes to the outputs."""
    treatment, task = view.treatment, view.opened.task
    if treatment.site is not None:
        return tuple(treatment.site.positions or ())
    if treatment.act in PUBLISHED_ACTS:
        return blank_positions(task, range(task.n_blanks))
    return blank_positions(task, treatment.blanks)
