"""Small pieces that every page uses: messages, sentences beside figures, strips of tokens.

What a visitor typed is only ever shown through :func:`plain` or ``html.escape``: a message is
Markdown to Streamlit, and an image in it would be a request to another machine.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analyses.one_list.answers import Answer, Output
from interp.figures import ORANGE, REGION_COLOURS, VERMILLION
from interp.task import Region, SortTask

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_ADDRESS = re.compile(r"(https?(?=:)|www(?=\.)|(?=@))", re.IGNORECASE)
_JOINER = "\u2060"  # no width; an address with it inside is not made into a link

_STRIP_STYLE = f"""<style>
ol.outputs {{display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 6px;
  list-style: none; margin: 0 !important; padding: 0 !important;}}
ol.outputs li {{border: 1px solid rgba(127,127,127,.45); border-radius: 6px; font-size: .8rem;
  line-height: 1.35; padding: 4px 8px !important; margin: 0 !important; white-space: nowrap;}}
ol.outputs li.wrong {{border: 2px dashed {VERMILLION}; padding: 3px 7px !important;}}
ol.outputs li.changed {{box-shadow: inset 0 4px 0 {ORANGE};}}
ol.outputs b {{font-size: 1.25rem;}}
ol.outputs b.word {{font-size: .8rem; line-height: 1.7rem;}}
ol.outputs div {{display: flex; justify-content: space-between;}}
ol.outputs i {{font-style: normal; opacity: .85;}}
ol.outputs.many {{grid-template-columns: repeat(auto-fill, minmax(80px, 1fr)); gap: 3px;}}
ol.outputs.many li {{font-size: .72rem; padding: 2px 4px !important; overflow: hidden;}}
ol.outputs.many b {{font-size: 1rem;}}
ol.outputs.many b.word {{font-size: .66rem;}}
ol.outputs.many i, ol.outputs.many div.second {{display: none;}}
</style>"""

_HATCHED = "repeating-linear-gradient(45deg, rgba(127,127,127,.85) 0 2px, transparent 2px 5px)"
_SEQUENCE_STYLE = (
    f"""<style>
div.sequence {{display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: flex-start;}}
div.sequence > div {{border-left: 5px solid; padding-left: 6px; min-width: 0;}}
div.sequence small {{font-size: .75rem; white-space: nowrap;}}
div.sequence p {{display: flex; flex-wrap: wrap; gap: 2px; margin: 0 !important;}}
div.sequence span {{display: flex; flex-direction: column; align-items: center; line-height: 1.15;
  border: 1px solid rgba(127,127,127,.45); border-radius: 3px; min-width: 1.5rem;
  padding: 1px 3px; font-size: 1rem;}}
div.sequence span.word {{font-size: .75rem;}}
div.sequence span i {{font-style: normal; font-size: .65rem; opacity: .8;}}
div.sequence span.done {{background: {_HATCHED} top / 100% 8px no-repeat; padding-top: 9px;}}
div.sequence span.emits {{outline: 3px solid {VERMILLION}; outline-offset: 0;}}
div.sequence span.new {{border-style: dashed; border-width: 2px;}}
"""
    + "\n".join(
        f"div.sequence > div.{region.name.lower()} {{border-color: {colour};}}"
        for region, colour in REGION_COLOURS.items()
    )
    + "</style>"
)
REGION_SYMBOLS = {
    Region.DIGITS: "▲",
    Region.SEP: "■",
    Region.BLANKS: "○",
    Region.LAST_BLANK: "◆",
    Region.OUTPUTS: "●",
}
"""Beside the regions' colours, for who does not see those."""

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#0072B2">
<rect x="1" y="10" width="4" height="5"/><rect x="6" y="6" width="4" height="9"/>
<rect x="11" y="1" width="4" height="14"/></g></svg>"""
"""The page's icon, spelled out: a named icon or an emoji would be fetched from another machine."""


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no image, no link, no layout."""
    unlinked = _ADDRESS.sub(rf"\1{_JOINER}", " ".join(text.split()))
    return _PUNCTUATION.sub(r"\\\1", unlinked)


def refuse(where: DeltaGenerator, message: object) -> None:
    """Say beside a field what is wrong with it."""
    where.error(plain(str(message)), icon=":material/error:")


def wait_for_list() -> None:
    """Where a page would show something of a list that cannot be read."""
    st.info("Waiting for a list that can be read; the message is beside its field.")


def sentences(shows: str, proves_not: str) -> None:
    """What a figure shows, and what it does not prove: a line that opens."""
    with st.popover("About this figure", icon=":material/info:"):
        st.caption(f"**Shows:** {shows}  \n**Does not prove:** {proves_not}")


def share(probability: float) -> str:
    """A probability in percent that never rounds to certainty."""
    if probability >= 0.9995:
        return ">99.9 %"
    return "<0.1 %" if probability < 0.0005 else f"{100 * probability:.1f} %"


# -- the outputs --------------------------------------------------------------------------------

_MOST_CARDS = 16  # outputs; more are small cells, whose runner-up is said when one points at them


def strip(said: Answer, name: str, before: Answer | None = None) -> str:
    """HTML: every output with its probability and runner-up, wrong ones with a symbol and words.

    Args:
        before: another answer to the same list; outputs that are not as in it say what they were.
    """
    changed = said.changed_from(before) if before else []
    was = {i: before.outputs[i].said for i in changed} if before else {}
    items = "".join(_item(i, output, was.get(i)) for i, output in enumerate(said.outputs))
    many = " many" if len(said.outputs) > _MOST_CARDS else ""
    return f'{_STRIP_STYLE}<ol class="outputs{many}" aria-label="{html.escape(name)}">{items}</ol>'


def _item(number: int, output: Output, was: str | None) -> str:
    token, second = output.said, output.second
    first, other = share(output.probability), share(output.runner_up_probability)
    verdict = "✓" if output.right else f"✗ not {output.should_be}"
    spoken = "right" if output.right else f"wrong, should be {output.should_be}"
    label = f"out {number}: {token}, {spoken}; probability {first}, runner-up {second} with {other}"
    classes, changed = "right" if output.right else "wrong", ""
    if was is not None:
        classes, label = f"{classes} changed", f"{label}; changed, was {was}"
        changed = f"<div>⇄ was {was}</div>"
    return (
        f'<li class="{classes}" title="{html.escape(label)}" aria-label="{html.escape(label)}">'
        f'<b class="{"digit" if token.isdigit() else "word"}">{token}</b> {verdict}'
        f"<div>{html.escape(first)}<i>out {number}</i></div>"
        f'<div class="second">or {second}: {html.escape(other)}</div>{changed}</li>'
    )


# -- the sequence -------------------------------------------------------------------------------


def sequence(
    task: SortTask,
    digits: Sequence[int],
    outputs: Sequence[Output],
    *,
    emits: bool = False,
    touched: Collection[int] = (),
) -> str:
    """HTML: the tokens of a sequence by region, each with its number; long ones wrap.

    Args:
        outputs: what was said so far. The last of them is not (yet) given back as an input.
        emits: mark the position that says the last output.
        touched: positions that are intervened on.
    """
    names = [output.said for output in outputs]
    tokens = [*map(str, digits), "SEP", *["_"] * task.n_blanks, *names]
    first = task.max_len - len(digits)
    last = first + len(tokens) - 1
    marks = {position: ["done"] for position in touched}
    marks.setdefault(last, []).append("new")
    if emits:
        row = task.first_output_row + len(outputs) - 1
        marks.setdefault(row, []).append("emits")
    cells = {
        region: [(p, tokens[p - first], marks.get(p, [])) for p in positions]
        for region, positions in _spans(task, len(digits), last)
    }
    wrong = {task.first_output_row + 1 + i for i, output in enumerate(outputs) if not output.right}
    body = "".join(_region(task, region, row, wrong) for region, row in cells.items() if row)
    return f'{_SEQUENCE_STYLE}<div class="sequence">{body}</div>'


def _spans(task: SortTask, length: int, last: int) -> list[tuple[Region, range]]:
    regions = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK)
    outputs = range(task.first_output_row + 1, last + 1)
    return [*((r, task.region(r, length)) for r in regions), (Region.OUTPUTS, outputs)]


def _region(
    task: SortTask, region: Region, cells: list[tuple[int, str, list[str]]], wrong: set[int]
) -> str:
    first = {
        Region.DIGITS: cells[0][0],
        Region.SEP: task.sep_pos,
        Region.OUTPUTS: task.first_output_row + 1,
    }.get(region, task.sep_pos + 1)
    name = {Region.DIGITS: "digits: the list", Region.OUTPUTS: "outputs: the answer"}.get(
        region, region.words
    )
    said = " ".join(token for _, token, _ in cells)
    spoken = f"{name}, {len(cells)}" if region is Region.BLANKS else f"{name}: {said}"
    shown = "".join(
        _cell(token, p - first, p, marks, p in wrong and region is Region.OUTPUTS)
        for p, token, marks in cells
    )
    return (
        f'<div class="{region.name.lower()}" role="img" aria-label="{html.escape(spoken)}">'
        f"<small>{REGION_SYMBOLS[region]} {name}</small><p>{shown}</p></div>"
    )


def _cell(token: str, number: int, position: int, marks: list[str], wrong: bool) -> str:
    notes = {
        "done": "intervened on",
        "emits": "says the next output",
        "new": "said, not given back as an input",
    }
    title = "; ".join([f"position {position}", *(notes[mark] for mark in marks)])
    classes = " ".join([*marks, *(["word"] if len(token) > 1 else [])])
    above = "▼" if "emits" in marks else ""
    return (
        f'<span class="{classes}" title="{title}">{above}{token}{"✗" if wrong else ""}'
        f"<i>{number}</i></span>"
    )
