"""One patch of the page "Patch": what it is, what is answered under it, and by how much."""

from __future__ import annotations

import streamlit as st

from analyses.one_list.answers import Answer
from analyses.one_list.patch import Direction
from analyses.one_list.patch.body import one_patch
from analyses.one_list.patch.result import PatchMap
from explorer.pages.patch.map import WAY, Cell
from explorer.pages.patch.pair import Pair, runs_of, set_corrupt, table
from explorer.parts.elements import sentences
from explorer.parts.meaning import OWN, RIGHT
from explorer.server import results, session
from explorer.server.models import OpenModel
from interp.answers.treatment import Treatment
from interp.passes.forward import frame
from interp.passes.packed import window
from interp.task import spaced, typed

_CHOSEN = "patch_chosen"


def draw_one(
    opened: OpenModel, pair: Pair, preview: PatchMap, cell: Cell, treatment: Treatment
) -> None:
    """What one patch is in words, what is said under it, and what it does to the logits."""
    way = preview.direction
    base, other = pair[::-1] if way == "denoising" else pair
    patch = cell.patch(other)
    name = "corrupted" if way == "denoising" else "clean"
    st.markdown(
        f"The **{name}** list {spaced(base)} is answered with one change: "
        f"{patch.words(opened.task)}."
    )
    answers = {
        side: results.answer(opened, digits, Treatment())
        for side, digits in zip(("clean", "corrupted"), pair, strict=True)
    }
    patched = _patched(opened, base, patch)
    cells = {side: said.text.split(" ") for side, said in answers.items()}
    cells["patched"] = answers[name].text.split(" ") if patched is None else patched.text.split(" ")
    with st.container(key="patch_outputs"):
        st.html(table(cells, name))
        st.caption(f"What the model answers, {OWN}; dashed differs from its {name} answer.")
    _logits(opened, pair, preview, cell)
    if patched is None:
        st.caption("No answer reads this place: the last layer is read at the output rows alone.")
        return
    _everywhere(pair, way, patch, treatment)


def _patched(opened: OpenModel, base: tuple[int, ...], patch: Treatment) -> Answer | None:
    """The answer under a patch; None where the last layer computes nothing that is read."""
    site = patch.site
    assert site is not None
    n_layers = opened.model.config.n_layers
    view = window(opened.task, opened.task.encode([base]))
    if site.first_position < frame(view, n_layers, site.component, site.layer).position:
        return None
    return results.answer(opened, base, patch)


def _logits(opened: OpenModel, pair: Pair, preview: PatchMap, cell: Cell) -> None:
    """The logit difference before the patch, and after."""
    ours, theirs = preview.pairs.answers[0].tolist()
    clean, corrupted = preview.difference
    before, donor = (corrupted, clean) if preview.direction == "denoising" else (clean, corrupted)
    runs = runs_of(opened, pair, preview.direction)
    after = one_patch(runs, cell.site, cell.position)
    moved = round(100 * (after - before) / (donor - before), 1) + 0.0 if preview.understood else 0
    share = f"{moved:.1f} %" if preview.understood else "none"
    with st.container(horizontal=True):
        st.metric("Logit difference before", f"{before:+.3f}", width="content")
        st.metric("Under the patch", f"{after:+.3f}", width="content")
        st.metric("In the other run", f"{donor:+.3f}", width="content")
        st.metric("Share of the way", share, width="content")
    row = int(preview.pairs.rows[0]) - preview.pairs.task.first_output_row
    sentences(
        f"what the patch does to out {row}: the logit of {ours} (clean) minus that of {theirs} "
        f"(corrupted), {RIGHT} before it. The answers above are {OWN}.",
        "what the place is for: only that, in this pair, the answer passes through it or does not.",
    )


def _everywhere(pair: Pair, way: Direction, patch: Treatment, treatment: Treatment) -> None:
    """A button that puts the patch into the whole explorer."""
    swapped = way == "denoising"
    words = "Intervene so everywhere"
    note = "Every page then shows the list in the sidebar under this patch."
    if swapped:
        words += " (swaps the lists)"
        note = (
            "The corrupted list then takes the place of the one in the sidebar, and every page "
            "shows it under this patch. Here that is noising, of the two lists swapped."
        )
    if patch == treatment and not swapped:
        st.button("Intervened so everywhere", disabled=True, icon=":material/check:")
    else:
        st.button(words, on_click=_choose, args=(pair, swapped, patch), icon=":material/public:")
    st.caption(note)


def _choose(pair: Pair, swapped: bool, patch: Treatment) -> None:
    if swapped:
        st.session_state[session.LIST], st.session_state[WAY] = typed(pair[1]), "noising"
        set_corrupt(pair[0])
    session.choose(patch)
    st.session_state[_CHOSEN] = True


def follow_choice() -> None:
    """In a fragment, after a callback chose for the whole explorer: draw the sidebar anew, too."""
    if st.session_state.pop(_CHOSEN, False):
        st.rerun()
