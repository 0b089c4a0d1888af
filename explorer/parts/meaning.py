"""What it means that an answer breaks, or does not, when blanks are taken away: one sentence, made
from the same numbers on every page that asks."""

from __future__ import annotations

import streamlit as st

from analyses.one_list.without.body import KEPT, MASKED, OF_B, telling
from analyses.one_list.without.result import AblatedAnswers
from explorer.parts.controls import View
from explorer.parts.one_list import SEED, kept
from interp.task import spaced

OWN = "given back its own outputs"
RIGHT = "given back the right outputs"
"""What a model is given as its outputs so far: on every page in these words."""


def outputs(n: int) -> str:
    """``1 output``, ``10 outputs``"""
    return f"{n} output{'' if n == 1 else 's'}"


def are_wrong(wrong: int, n: int) -> str:
    """``1 of 10 outputs is wrong``"""
    return f"{wrong} of {outputs(n)} {'is' if wrong == 1 else 'are'} wrong"


def say_meaning(view: View) -> None:
    """The sentence, of the model and the sidebar's list, whatever the intervention."""
    digits = view.digits or ()
    result = kept(
        ("what blanks are for", view.opened.hash, digits, SEED),
        lambda _: telling(view.opened.model, digits, SEED),
    )
    n, b = len(result.right_answer), spaced(result.other)
    st.markdown(
        f"**What it means.** {verdict(result)} Each output {RIGHT}, {result.right(MASKED)} of "
        f"{outputs(n)} {'is' if n == 1 else 'are'} right with the blanks masked, and "
        f"{result.right(OF_B)} with the blanks of another list ({b})."
    )


def verdict(result: AblatedAnswers) -> str:
    """What masking, and giving another list's blanks, say together, on this list."""
    n = len(result.right_answer)
    breaks, keeps = result.right(MASKED) < n, result.right(KEPT) == n
    if result.follows(OF_B):
        return (
            f"On this list {result.follows(OF_B)} of the {result.telling} outputs that could tell "
            "follow what the blanks hold for list B: those read something about the list there."
        )
    if result.right(OF_B) < n:
        return (
            f"On this list other contents in the blanks spoil {outputs(n - result.right(OF_B))}, "
            "but lead none to B's answer: contents matter, though not as a whole answer."
        )
    if not breaks:
        return (
            "On this list the outputs do without the blanks: neither way changes any. That is no "
            "proof that the blanks are idle; the work may be done in more than one place."
        )
    reason = (
        "with the other weights left as they were, nothing breaks, so the blanks are where "
        "attention rests: masking sends it elsewhere"
        if keeps
        else "leaving the other weights as they were does not mend it, so the blanks also add "
        "something that the outputs need"
    )
    return (
        "Masking takes away two things: what the blanks hold, and the attention that goes there. "
        "Another list's contents take away only what is special to your list. On this list "
        f"only masking breaks outputs, so what is needed is the same for both lists; {reason}."
    )
