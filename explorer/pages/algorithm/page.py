"""The page "Algorithm": a list, a prefix that may be wrong, and what each program says next."""

from __future__ import annotations

import html
from itertools import product

import streamlit as st

from analyses.experiment import catalogue
from analyses.one_list import dial, programs
from analyses.one_list.answers import Attention, attention_along
from analyses.one_list.programs.body import missing_one, parse_prefix
from explorer.parts.controls import View
from explorer.parts.elements import plain, refuse, sentences, wait_for_list
from explorer.parts.one_list import kept, show
from explorer.parts.study import study
from explorer.server import results, session
from explorer.server.places import Places
from interp.sites import head_name
from interp.support.errors import UserError
from interp.task import Region, typed

PREFIX, HEAD = "prefix", "algorithm_head"  # in the session and in the address

_WELCOME = (
    "How does it sort? Programs that sort say the same after every right prefix, and part after a "
    "wrong one. So give the model a prefix that it would not have made, ask for the next digit, "
    "and see which program says what the model says."
)
_STYLE = """<style>
p.looks {display: flex; flex-wrap: wrap; gap: 2px; margin: 0 0 6px 0;}
p.looks span {border: 1px solid rgba(127,127,127,.45); border-radius: 3px; padding: 1px 4px;
  min-width: 1.4rem; text-align: center; line-height: 1.2;}
p.looks span i {display: block; font-style: normal; font-size: .65rem; opacity: .85;}
p.looks span.speaks {outline: 3px solid #D55E00;}
</style>"""


def draw(view: View, places: Places) -> None:
    """The whole page."""
    del places
    st.title("Which algorithm has it learned?")
    st.markdown(_WELCOME)
    if view.digits is None:
        wait_for_list()
        return
    if why := programs.EXPERIMENT.refusal(view.opened.task):
        st.info(f"{why[0].upper()}{why[1:]}.")
        return
    _one_prefix(view)
    for experiment in catalogue.on_page("algorithm"):
        study(view, experiment)


@st.fragment
def _one_prefix(view: View) -> None:
    """A prefix to edit, and who says what after it."""
    st.header("After a prefix of your own")
    digits = view.digits or ()
    session.from_link(PREFIX, PREFIX, "")
    text = st.text_input(
        "Outputs so far",
        key=PREFIX,
        placeholder=typed(missing_one(digits)),
        max_chars=session.LONGEST_TEXT,
        help="Digits as 1,1,3 or 113, fewer than the list has; right or wrong. A single - is no "
        "output at all; left empty, half of the right answer with its first digit left out.",
    )
    session.write_link(**{PREFIX: text.strip()})
    message = st.container()
    settings = programs.ProgramsSettings(text.strip())
    try:
        prefix = parse_prefix(view.opened.task, digits, settings.prefix)
        found = show(
            view,
            programs.EXPERIMENT,
            settings,
            "programs",
            "what the model says after every beginning of this prefix, and what each program says; "
            "✗ where a program does not say what the model says.",
        )
    except UserError as error:
        refuse(message, error)
        return
    first, *said, finding = found.words
    st.markdown(f"**{plain(first)}** {plain(finding)}")
    st.markdown("\n".join(f"- {plain(line)}" for line in said))
    _looks(view, prefix)


# -- where a head looks -------------------------------------------------------------------------


def _looks(view: View, prefix: tuple[int, ...]) -> None:
    """The tokens, coloured by what one head attends to in the row that speaks."""
    config = view.opened.model.config
    pairs = product(range(config.n_layers), range(config.n_heads))
    heads = [head_name(pair) for pair in pairs]
    session.choice(HEAD, HEAD, heads, "0.4" if "0.4" in heads else heads[0])
    chosen = st.radio("Head (layer.head)", heads, key=HEAD, horizontal=True)
    session.write_link(**{HEAD: chosen})
    layer, head = map(int, chosen.split("."))
    attention = kept(
        ("looks", view.opened.hash, view.digits, view.treatment, prefix),
        lambda progress: _attention(view, prefix),
    )
    weights = attention.pattern[layer, head, len(attention.labels) - 1]
    st.html(_STYLE + _tokens(attention, weights.tolist()))
    sentences(
        f"what head {chosen} attends to where the next digit is said (outlined): the darker, the "
        "more, with the share in percent where it is 1 or more.",
        "that what is looked at is used; the tables below ask that.",
    )
    if layer == 0 and prefix and not view.treatment:
        _dial(view, head)


def _dial(view: View, head: int) -> None:
    """What is said at every number of that head of layer 0, where it has one."""
    settings = dial.DialSettings(st.session_state[PREFIX].strip(), head)
    try:
        found = show(
            view,
            dial.EXPERIMENT,
            settings,
            "dial",
            "the probability of each next digit when the number of the head is set, from copies "
            "out alone (-1) to copies in the list alone (1), all else as it is; the line is where "
            "it stands.",
        )
    except UserError as error:
        st.caption(plain(str(error)))
        return
    st.markdown(plain(" ".join(found.words)))


def _attention(view: View, prefix: tuple[int, ...]) -> Attention:
    subject = results.subject(view.opened, view.digits or (), view.treatment)
    # What is said last is never an input: any digit stands for it.
    return attention_along(subject.model, subject.digits, (*prefix, 0), subject.run().interventions)


def _tokens(attention: Attention, weights: list[float]) -> str:
    """HTML: a line for each region."""
    lines: dict[Region, list[str]] = {}
    last = len(attention.labels) - 1
    for i, (label, region) in enumerate(zip(attention.labels, attention.regions, strict=True)):
        lines.setdefault(region, []).append(_token(label, weights[i], i == last))
    return "".join(
        f'<p class="looks" aria-label="{html.escape(region.words)}">{"".join(cells)}</p>'
        for region, cells in lines.items()
    )


def _token(label: str, weight: float, speaks: bool) -> str:
    name, _, token = label.partition(": ")
    shown = token or ("_" if name.startswith(("blank", "last")) else name)
    percent = f"{100 * weight:.0f}" if weight >= 0.01 else ""
    colour = f"rgba(0,114,178,{min(1.0, weight * 1.5):.2f})"
    kind = ' class="speaks"' if speaks else ""
    title = html.escape(f"{label}: {100 * weight:.1f} %")
    return (
        f'<span{kind} style="background:{colour}" title="{title}">{html.escape(shown)}'
        f"<i>{percent or '&nbsp;'}</i></span>"
    )
