"""Of the page "Truth": the sorter that is open, its algorithm beside what the methods see of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from explorer.pages.truth.words import BLANKS_ARE_FOR, dotted, worked
from explorer.parts.controls import View
from explorer.parts.elements import wait_for_list
from explorer.parts.panel import about, panel
from explorer.server import results, session
from explorer.server.models import OpenModel
from interp.answers.treatment import Treatment
from interp.sorters.truth import Truth
from interp.task import Region

if TYPE_CHECKING:
    import numpy as np

    from analyses.one_list.answer.result import Attention
    from analyses.one_list.glance.body import Glance
    from analyses.one_list.without.body import Of, Without

HEAD = "truth_head"  # the name in the address, too
SEED = 0
_NOTHING = 1e-10  # of attention: what rounding leaves


def open_sorter(view: View, truth: Truth) -> None:
    """Its algorithm on the list of the sidebar, beside what the methods see of it."""
    st.header(f"The sorter that is open: {truth.name}", divider="gray")
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
    _looks(untouched, view.digits, truth)
    _taken_away(untouched, view.digits, truth, "heads")
    _taken_away(untouched, view.digits, truth, "blanks")


def _heads_table(view: View, digits: tuple[int, ...], truth: Truth) -> None:
    taken = without(view.opened, digits, "heads")
    said = results.answer(view.opened, digits, Treatment())
    seen = results.attention(view.opened, said, Treatment())
    st.dataframe(head_rows(seen, taken, truth), hide_index=True, width="stretch")
    st.caption(
        "**Looks at:** of the rows that carry the answer (of a decoy: those that emit it), the "
        "share of attention that each region gets. **Right without it:** outputs that stay right "
        "when the head writes what it writes for list B. A head that counts gives the digits less "
        "than a millionth: what it gathers is multiplied up again."
    )


def head_rows(seen: Attention, taken: Without, truth: Truth) -> list[dict[str, str]]:
    """Every head: what is known of it, and what attention and an ablation say."""
    from analyses.one_list.without.body import head_name

    rows = []
    for layer, head in sorted(truth.heads | truth.decoy_heads):
        queries = {edge.query for edge in truth.edges if (edge.layer, edge.head) == (layer, head)}
        shares = _shares(seen, layer, head, queries or {Region.LAST_BLANK, Region.OUTPUTS})
        right = taken.right(head_name(layer, head))
        rows.append(
            {
                "Head": dotted(layer, head),
                "Known": "carries the answer" if (layer, head) in truth.heads else "decoy",
                "Looks at": _words(shares),
                "Right without it": f"{right} of {len(taken.digits)}",
            }
        )
    return rows


def _shares(seen: Attention, layer: int, head: int, queries: set[Region]) -> dict[Region, float]:
    """Attention to each region, mean over the rows of ``queries``; the most first."""
    regions = list(seen.regions)
    rows = [i for i, region in enumerate(regions) if region in queries]
    pattern: np.ndarray = seen.pattern[layer, head, rows]
    shares = {
        region: float(pattern[:, [r is region for r in regions]].sum(1).mean())
        for region in dict.fromkeys(regions)
    }
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _words(shares: dict[Region, float]) -> str:
    names = {Region.SEP: "SEP"}
    return ", ".join(
        f"{names.get(region, region.value)} {_share(share)}"
        for region, share in shares.items()
        if share > _NOTHING
    )


def _share(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else f"{share:.0e}" if share < 1e-4 else "<1 %"


@st.fragment
def _looks(view: View, digits: tuple[int, ...], truth: Truth) -> None:
    """One head in full: those of the story, and the decoys."""
    from analyses.one_list.glance import body as one_list_glance

    names = [dotted(*head) for head in sorted(truth.heads | truth.decoy_heads)]
    told = max(truth.heads)
    session.from_link(HEAD, HEAD, "")
    session.allow(HEAD, names, dotted(*told))
    known = [dotted(*head) for head in truth.heads]
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
    seen = glance(view.opened, digits)
    panel(
        one_list_glance.figure(seen, layer, head),
        "truth-attention",
        about(view, f"-m analyses.one_list.glance --layer {layer} --head {head}", seed=SEED),
        lambda: one_list_glance.table(seen, layer, head),
        f"where head {chosen} looks, which {_known(chosen in known)}.",
        "that what is looked at is used. The patterns of decoys are as striking.",
    )


def _known(carries: bool) -> str:
    return "carries the answer" if carries else "is a decoy and writes exactly nothing"


def _taken_away(view: View, digits: tuple[int, ...], truth: Truth, of: Of) -> None:
    from analyses.one_list.without.figure import figure, rows

    result = without(view.opened, digits, of)
    expected = {
        "heads": "Known to break: the heads that carry the answer, "
        f"{', '.join(dotted(*head) for head in sorted(truth.heads))}, and no other",
        "blanks": f"Known of the blanks: {BLANKS_ARE_FOR[truth.name]}",
    }[of]
    panel(
        figure(result, f"The answer, with one thing taken away · {of}"),
        f"truth-{of}",
        about(view, f"-m analyses.one_list.without --of {of}", seed=SEED),
        lambda: rows(result),
        "what every output becomes: ✓ right, B that of list B "
        f"({' '.join(map(str, result.other))}), ✗ neither. {expected}.",
        "anything of other lists, or of what two things do together.",
    )


def without(opened: OpenModel, digits: tuple[int, ...], of: Of) -> Without:
    """``analyses.one_list.without.body`` with the default list B."""
    return _without(opened.hash, digits, of, opened)


@st.cache_data(max_entries=60, show_spinner=False)
def _without(hash_: str, digits: tuple[int, ...], of: Of, _opened: OpenModel) -> Without:
    from analyses.one_list.without.body import compute

    return compute(_opened.model, digits, of=of, seed=SEED)


def glance(opened: OpenModel, digits: tuple[int, ...]) -> Glance:
    """``analyses.one_list.glance.body`` of the model as it is."""
    return _glance(opened.hash, digits, opened)


@st.cache_data(max_entries=60, show_spinner=False)
def _glance(hash_: str, digits: tuple[int, ...], _opened: OpenModel) -> Glance:
    from analyses.one_list.glance.body import glance

    return glance(_opened.model, digits, Treatment())
