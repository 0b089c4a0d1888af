"""The page's words go by the task's own names."""

from __future__ import annotations

import pytest

from explorer.parts.speech import in_words_of, throughout
from interp.rules import rule_named
from interp.task import SortTask


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("sort", "Sorted digits: it sorts a digit; sorting to sort. Digits, unsorted sortscope"),
        (
            "parity",
            "Answered bits: it answers a bit; answering to answer. Bits, unsorted sortscope",
        ),
        (
            "sort-descending",
            "Sorted digits: it sorts a digit; sorting to sort. Digits, unsorted sortscope",
        ),
    ],
)
def test_words_by_task(rule: str, words: str) -> None:
    text = "Sorted digits: it sorts a digit; sorting to sort. Digits, unsorted sortscope"
    assert in_words_of(SortTask(6, 3, rule=rule_named(rule)), text) == words


def test_all_texts_of_a_figure_are_changed_and_nothing_else() -> None:
    part = {"digits": ["two digits", 3, None, ("digit", True)], "text": "a digit"}
    assert throughout(part, lambda text: text.replace("digit", "bit")) == {
        "digits": ["two bits", 3, None, ("bit", True)],
        "text": "a bit",
    }
