"""What the page "Truth" says of the sorters compiled by hand, and of the questions put to methods.

Every claim in ``LOOK_FOR`` is computed anew by the tests, on the sorter itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyses import known_answers
from analyses.experiment import Question
from interp.task import N_DIGITS

FITTING_LIST = (4, 1, 7, 1, 9, 3)
"""A repeat, gaps, and few digits: every algorithm shows on it."""

BLANKS_ARE_FOR = {
    "slots": "each blank holds the digit of one output",
    "histogram": "all blanks hold the same counts, and all are read",
    "direct": "a decoy: they hold the answer, and nothing reads it",
    "sink": "attention rests on them; what they hold does not matter",
    "successor": "nothing",
}

_COUNTS = (
    "the digits, all together, get less than a millionth of its attention, and that is enough."
)
LOOK_FOR: dict[str, dict[str, str]] = {
    "slots": {
        "Sort": "Mask the blanks: every output becomes BLANK.",
        "Attention": "Head 1.2: output i looks at blank i and at nothing else. Head 0.1 "
        f"counts, and seems to rest on SEP: {_COUNTS}",
        "Patch": "Before layer 1 the changed digit's own position carries nothing any more. One "
        "blank carries everything: the one of the output that changes.",
        "Blanks": "Give all blanks what they hold for list B, and the answer is B's. Do it to "
        "blank 2 alone, and only output 2 is. Of a list of 6 digits, only blanks 0-5 matter.",
        "Inside": "The logit lens cannot tell what the blanks hold, because the unembedding does "
        "not read those directions; a probe can. Head 1.2 writes the answer.",
    },
    "histogram": {
        "Sort": "Mask the blanks: output 0 becomes BLANK. That BLANK is fed back, counts the "
        "digits as any blank does, and the outputs after it are right again.",
        "Attention": "Head 1.0: every output looks at all blanks alike. Head 0.2 "
        f"counts, and seems to rest on SEP: {_COUNTS}",
        "Patch": "Before layer 1 the blanks together carry everything, and each of them alone the "
        "same small share.",
        "Blanks": "Give all blanks what they hold for list B, and the answer is B's. Do it to any "
        "one alone, and nothing changes.",
        "Inside": "A probe finds the counts at the blanks, and sorted[j] too, for it follows from "
        "them. The logit lens cannot tell. MLP 1 writes the answer.",
    },
    "direct": {
        "Sort": "Mask the blanks: nothing changes.",
        "Attention": "Head 1.2: output i looks at blank i and at nothing else, as in "
        "slots. But it writes exactly nothing.",
        "Patch": "Before layer 1 the row that answers carries everything by itself, and the "
        "blanks nothing.",
        "Blanks": "However the blanks are taken away, nothing changes.",
        "Inside": "A probe finds sorted[j] at blank j, though nothing reads it: that something can "
        "be read does not mean that it is used. MLP 0 writes the answer.",
    },
    "sink": {
        "Sort": "Mask the blanks: every output becomes the smallest digit.",
        "Attention": "Head 1.1: every output looks at all blanks alike. It counts the "
        f"digits: {_COUNTS}",
        "Patch": "Before layer 1 the changed digit's own position still carries everything, and "
        "the blanks nothing.",
        "Blanks": "Masking them loses the answer. Masking them with the other weights kept does "
        "not, nor do the contents of list B: the blanks are leaned on, not read.",
        "Inside": "A probe finds neither the answer nor the counts at the blanks. MLP 1 "
        "writes the answer.",
    },
    "successor": {
        "Sort": "Mask the blanks: nothing changes. Each output is worked out from the one before.",
        "Attention": "Head 1.0: output i looks at blank i and at nothing else, as in "
        "slots. But it writes exactly nothing.",
        "Patch": "Before layer 1 the row that answers carries everything by itself, and the "
        "blanks nothing.",
        "Blanks": "However the blanks are taken away, nothing changes.",
        "Inside": "A probe finds neither the answer nor the counts at the blanks. MLP 0 and "
        "MLP 1 write the answer between them.",
    },
}
"""By sorter and page."""

# -- the scoreboard -----------------------------------------------------------------------------


def question(method: str) -> str:
    """A question of the scoreboard in plain words."""
    asked = _questions().get(method)
    return asked.plain if asked and asked.plain else method


def why_wrong(method: str) -> str:
    """Why a wrong answer to it is expected; empty if it is not."""
    asked = _questions().get(method)
    return asked.why_wrong if asked else ""


def _questions() -> dict[str, Question]:
    return {name: asked for one in known_answers.asked() for name, asked in one.asks.items()}


def in_words(value: Any) -> str:
    """An answer for people: ``yes``, ``99 %``, ``heads 0.1, 1.2``."""
    if value is None:
        return "cannot tell"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{100 * value:.0f} %"
    if isinstance(value, list):
        heads = [".".join(map(str, v)) if isinstance(v, (list, tuple)) else str(v) for v in value]
        listed = ", ".join(heads) or "none"
        return f"heads {listed}" if value and not isinstance(value[0], str) else listed
    return str(value)


# -- the algorithms, worked through -------------------------------------------------------------


def worked(name: str, digits: Sequence[int]) -> list[tuple[str, str]]:
    """A sorter's algorithm on one list: sentences, each with the numbers it is about."""
    counts = [sum(d <= v for d in digits) for v in range(N_DIGITS)]
    places = range(len(digits))
    answer = [sum(count <= j for count in counts) for j in places]  # sorted(digits), as they do it
    counted = _table(("v", range(N_DIGITS)), ("up to v", counts))
    held = _table(("blank", places), ("holds", answer))
    emits = _table(("output", places), ("emits", answer))
    last = ["-", *answer[:-1]]
    used_up = ["start", *("yes" if counts[d] <= i + 1 else "no" for i, d in enumerate(answer[:-1]))]
    successor = _table(("output", places), ("last", last), ("used up", used_up), ("emits", answer))
    rule = "Output i is the number of values v with at most i digits up to v."
    return {
        "slots": [
            ("In layer 0 every blank counts the digits (head 0.1).", counted),
            ("Blank i works out sorted[i]: the number of v with at most i digits up to v.", held),
            ("In layer 1 output i copies it from blank i (head 1.2).", emits),
        ],
        "histogram": [
            ("In layer 0 every blank counts the digits, all alike (head 0.2).", counted),
            (f"In layer 1 each output averages over the blanks (head 1.0). {rule}", emits),
        ],
        "direct": [
            ("In layer 0 each output counts the digits itself (head 0.0).", counted),
            (f"{rule} The answer is ready before layer 1.", emits),
            ("Blank i works it out as well, and head 1.2 looks at it, but writes nothing.", held),
        ],
        "sink": [
            ("In layer 1 each output counts the digits (head 1.1), by weights below a millionth; "
            "the blanks' share of the attention, nearly all, sets the scale.", counted),
            (rule, emits),
        ],
        "successor": [
            ("In layer 0 each output counts the digits (head 0.2).", counted),
            ("It sees whether the digit emitted last is used up. If not, it emits that digit "
            "again, else layer 1 finds the next one that is there.", successor),
        ],
    }[name]  # fmt: skip


def _table(*rows: tuple[str, Sequence[Any]]) -> str:
    """Rows with aligned columns."""
    columns = list(zip(*(map(str, values) for _, values in rows), strict=True))
    widths = [max(map(len, column)) for column in columns]
    label = max(len(name) for name, _ in rows)
    return "\n".join(
        f"{name:{label}}  " + " ".join(f"{v!s:>{w}}" for v, w in zip(values, widths, strict=True))
        for name, values in rows
    )
