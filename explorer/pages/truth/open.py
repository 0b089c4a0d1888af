"""Of the page "Truth": the sorter that is open, its algorithm beside what the methods see of it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import streamlit as st

from analyses.one_list import glance, without
from analyses.one_list.answers import Attention
from analyses.one_list.without import Of
from analyses.one_list.without.body import head_line
from analyses.one_list.without.result import AblatedAnswers
from explorer.pages.truth.words import BLANKS_ARE_FOR, worked
from explorer.parts.controls import View
from explorer.parts.elements import wait_for_list
from explorer.parts.one_list import outcome, show
from explorer.server import results, session
from interp.answers.treatment import Treatment
from interp.sites import head_name
from interp.sorters.truth import Truth
from interp.task import Region

HEAD = "truth_head"  # the name in the address, too
_NOTHING = 1e-10  # of attention: what rounding leaves


def open_sorter(view: View, truth: Truth) -> None:
    """Its algorithm on the list of the sidebar, beside what the methods see of it."""
    st.header(f"The sorter that is open: {truth.name}")
    if view.digits is None:
        wait_for_list()
        return
    untouched = replace(view, treatment=Treatment())
    if view.treatment:
        st.caption("What the sidebar does to the model is left aside on this page.")
    st.subheader("What it is known to do")
    steps = worked(truth.name, view.digits)
    for number, column in enumerate(st.columns(len(steps), gap="medium")):
        words, numbers = steps[number]
        column.markdown(f"{number + 1}. {words}")
        column.code(numbers, language=None)
    st.subheader("What the methods see")
    _heads_table(untouched, view.digits, truth)
    _looks(untouched, truth)
    _taken_away(untouched, truth, "heads")
    _taken_away(untouched, truth, "blanks")


def _heads_table(view: View, digits: tuple[int, ...], truth: Truth) -> None:
    ablated = _without(view, "heads")
    attention = results.attention(view.opened, digits, Treatment())
    st.dataframe(head_rows(attention, ablated, truth), hide_index=True, width="stretch")
    st.caption(
        "**Looks at:** of the rows that carry the answer (of a decoy: those that emit it), the "
        "share of attention that each region gets. **Right without it:** outputs that stay right "
        "when the head writes what it writes for list B. A head that counts gives the digits less "
        "than a millionth: what it gathers is multiplied up again."
    )


def head_rows(attention: Attention, ablated: AblatedAnswers, truth: Truth) -> list[dict[str, str]]:
    """Every head: what is known of it, and what attention and an ablation say."""
    rows = []
    for layer, head in sorted(truth.heads | truth.decoy_heads):
        queries = {edge.query for edge in truth.edges if (edge.layer, edge.head) == (layer, head)}
        shares = _shares(attention, layer, head, queries or {Region.LAST_BLANK, Region.OUTPUTS})
        right = ablated.right(head_line(layer, head))
        rows.append(
            {
                "Head": head_name((layer, head)),
                "Known": "carries the answer" if (layer, head) in truth.heads else "decoy",
                "Looks at": _words(shares),
                "Right without it": f"{right} of {len(ablated.digits)}",
            }
        )
    return rows


def _shares(
    attention: Attention, layer: int, head: int, queries: set[Region]
) -> dict[Region, float]:
    """Attention to each region, mean over the rows of ``queries``; the most first."""
    regions = list(attention.regions)
    rows = [i for i, region in enumerate(regions) if region in queries]
    pattern: np.ndarray = attention.pattern[layer, head, rows]
    shares = {
        region: float(pattern[:, [r is region for r in regions]].sum(1).mean())
        for region in dict.fromkeys(regions)
    }
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _words(shares: dict[Region, float]) -> str:
    return ", ".join(
        f"{region.words} {_share(share)}" for region, share in shares.items() if share > _NOTHING
    )


def _share(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else f"{share:.0e}" if share < 1e-4 else "<1 %"


@st.fragment
def _looks(view: View, truth: Truth) -> None:
    """One head in full: those of the story, and the decoys."""
    names = [head_name(head) for head in sorted(truth.heads | truth.decoy_heads)]
    told = max(truth.heads)
    session.from_link(HEAD, HEAD, "")
    session.allow(HEAD, names, head_name(told))
    known = [head_name(head) for head in truth.heads]
    chosen = st.radio(
        "Head (layer.head)",
        names,
        key=HEAD,
        horizontal=True,
        format_func=lambda name: f"{name} ●" if name in known else name,
        help="● carries the answer; the others are decoys.",
    )
    session.write_link(**{HEAD: chosen})
    layer, head = (int(part) for part in chosen.split("."))
    show(
        view,
        glance.EXPERIMENT,
        glance.GlanceSettings(layer, head),
        "truth-attention",
        f"where head {chosen} looks, which {_known(chosen in known)}.",
        "that what is looked at is used. The patterns of decoys are as striking.",
    )


def _known(carries: bool) -> str:
    return "carries the answer" if carries else "is a decoy and writes exactly nothing"


def _taken_away(view: View, truth: Truth, of: Of) -> None:
    result = _without(view, of)
    expected = {
        "heads": "Known to break: the heads that carry the answer, "
        f"{', '.join(head_name(head) for head in sorted(truth.heads))}, and no other",
        "blanks": f"Known of the blanks: {BLANKS_ARE_FOR[truth.name]}",
    }[of]
    show(
        view,
        without.EXPERIMENT,
        without.WithoutSettings(of),
        f"truth-{of}",
        "what every output becomes: ✓ right, B that of list B "
        f"({' '.join(map(str, result.other))}), ✗ neither. {expected}.",
        "anything of other lists, or of what two things do together.",
        title=f"The answer, with one thing taken away · {of}",
    )


def _without(view: View, of: Of) -> AblatedAnswers:
    """``analyses.one_list.without`` with the default list B."""
    found = outcome(view, without.EXPERIMENT, without.WithoutSettings(of))
    return cast(AblatedAnswers, found.result)
