"""The page's words go by the task's own names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analyses.one_list import without
from analyses.one_list.subject import ListSubject
from analyses.one_list.without.body import AS_IT_IS, OF_B
from explorer.parts.meaning import verdict
from explorer.parts.speech import in_words_of
from interp.rules import rule_named
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import task_for
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


@pytest.mark.parametrize("name", ["relay", "tally"])
def test_what_an_answer_means_counts_its_own_outputs(name: str) -> None:
    """Not the symbols of the list: of a parity there is one output."""
    task = task_for(name, 5)
    values = task.example
    subject = ListSubject(compile_sorter(name, task).model, values)
    result = without.EXPERIMENT.compute(subject, without.WithoutSettings("blanks"))
    n = len(task.answer(values))
    assert result.right(AS_IT_IS) == n and result.follows(OF_B) == result.telling
    assert verdict(result).startswith(f"On this list {result.telling} of the {result.telling} ")
    right = tuple(replace(line, tokens=result.right_answer) for line in result.lines)
    kept = replace(result, lines=right)
    assert "neither way changes any" in verdict(kept)
