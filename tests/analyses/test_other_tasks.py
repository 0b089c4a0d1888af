"""Every analysis of a model whose task is another one: done, or refused in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest

from analyses.attribution.body import direct_result
from analyses.attribution.result import AttributionResult, PatchingResult
from analyses.experiment import Needs
from analyses.experiment.catalogue import experiment, experiments, reported
from analyses.experiment.subjects import OfList
from analyses.known_answers.body import smaller
from analyses.one_list.answer.figure import answer_figure, step_figure
from analyses.one_list.answers import decode_list
from analyses.one_list.subject import ListSubject
from interp.lists import Symbols
from interp.rule import Rule
from interp.rules import MATCH_3, PARITY, REVERSE, SORT, UNIQUE
from interp.support.errors import UserError
from interp.task import Task
from tests.covers import crossed
from tests.models import small_model

RULES = {rule.name: rule for rule in (UNIQUE, PARITY)}  # many lengths of answer; a single output
EITHER = [
    one.name for one in reported() if not any(one.refusal(Task(rule=r)) for r in RULES.values())
]
OF_ONE_RULE = [
    (one.name, rule)
    for one in reported()
    for rule in RULES
    if one.name not in EITHER and not one.refusal(Task(rule=RULES[rule]))
]
LISTS = [name for name, one in experiments().items() if one.about is OfList]
BLANK_LISTS = ("one_list.blanks",)  # says nothing of a model as it is


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rule"), [*crossed(EITHER, list(RULES), every=2), *OF_ONE_RULE])
def test_of_many_lists(name: str, rule: str, unchecked: None) -> None:
    """What is refused is another test's."""
    one, model = experiment(name), small_model(task=Task(5, 6, rule=RULES[rule]))
    outcome = one.outcome(one.compute(model, smaller(one.settings)))
    outcome.figure.to_json()
    json.dumps({**outcome.json, "words": outcome.words}, allow_nan=False)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", [name for name in LISTS if name not in BLANK_LISTS])
def test_of_one_list(name: str, rule: str, unchecked: None) -> None:
    one, model = experiment(name), small_model(task=Task(5, 6, rule=RULES[rule]))
    if one.refusal(model.task):
        pytest.skip("refused, as another test holds")
    outcome = one.outcome(one.compute(ListSubject(model, (1, 0, 1, 1))))
    outcome.figure.to_json()
    json.dumps([outcome.rows, outcome.words], allow_nan=False)


def evens(values: Sequence[int]) -> list[int]:
    return [v for v in values if v % 2 == 0]


def doubled(values: Sequence[int]) -> list[int]:
    return [v for v in values for _ in range(2)]


EVENS = Rule("evens", Symbols(40), evens, "the even numbers of the list", ends=True)
FLIPPED = Rule("flipped", Symbols(2, "bit"), lambda v: [1 - x for x in v], "every bit turned over")
DOUBLED = Rule("doubled", Symbols(2, "bit"), doubled, "every bit twice", outputs=lambda n: 2 * n)


@pytest.mark.parametrize(
    ("rule", "values"), [(EVENS, (13, 3, 39)), (EVENS, (2, 38, 7)), (DOUBLED, (1, 0, 1))]
)
@pytest.mark.parametrize("name", [name for name in LISTS if name not in BLANK_LISTS])
def test_of_answers_that_are_empty_or_longer_than_the_list(
    name: str, rule: Rule, values: tuple[int, ...], unchecked: None
) -> None:
    one, model = experiment(name), small_model(task=Task(5, 3, rule=rule))
    if not one.refusal(model.task):
        outcome = one.outcome(one.compute(ListSubject(model, values)))
        json.dumps([outcome.rows, outcome.words], allow_nan=False)


@pytest.mark.parametrize("name", ["behaviour", "logit_lens", "one_list.lens"])
def test_words_and_axes_are_the_tasks(name: str, unchecked: None) -> None:
    """They spoke of digits and of sorted[j] whatever the task."""
    one, model = experiment(name), small_model(task=Task(5, 6, rule=FLIPPED))
    if one.about is OfList:
        outcome = one.outcome(one.compute(ListSubject(model, (1, 0, 1, 1))))
    else:
        outcome = one.outcome(one.compute(model, smaller(one.settings)))
    said = [*outcome.words, outcome.figure.to_json()]
    assert any("bit" in words for words in said)
    assert not [words for words in said if "digit" in words or "sorted[" in words]


def test_where_the_answer_has_ended_nothing_should_be_said() -> None:
    model = small_model(task=Task(5, 3, rule=EVENS))
    decoded = decode_list(model, (13, 3, 39))  # to be answered with SEP alone
    first, *rest = decoded.answer.outputs
    assert first.should_be == "SEP" and rest and all(o.should_be == "nothing" for o in rest)
    right = next(t for t in answer_figure(decoded).data if t.name == "what should be said")
    assert (right.x, right.y) == (("out 0",), ("SEP",))
    assert "right: " not in "".join(step_figure(decoded, 1).layout.yaxis.ticktext)


def test_attribution_leaves_out_lists_with_an_empty_answer(unchecked: None) -> None:
    task = Task(5, 3, rule=EVENS)
    model, lists = small_model(task=task), [[13, 3], [2, 5, 4], [1], [6]]
    some, found = (direct_result(model, task.encode(each)) for each in (lists[1::2], lists))
    result = AttributionResult(found, PatchingResult(*[None] * 8), 5, task, 0)  # type: ignore[arg-type]
    assert found.mean_total(0).n == 2
    assert found.mean_total(0).value == pytest.approx(some.mean_total(0).value, abs=1e-5)
    assert math.isfinite(result.source(0, 0).value)
    with pytest.raises(UserError, match="the right answers to these lists hold no number"):
        direct_result(model, task.encode(lists[::2]))


def test_what_a_task_must_have() -> None:
    met = {
        need: [
            rule.name for rule in (SORT, REVERSE, UNIQUE, MATCH_3) if need.met_by(Task(rule=rule))
        ]
        for need in Needs
    }
    assert met == {
        Needs.NOTHING: ["sort", "reverse", "unique", "match3"],
        Needs.ALIKE: ["sort", "reverse", "match3"],
        Needs.SEVERAL: ["sort", "reverse", "unique"],
        Needs.SORTING: ["sort"],
        Needs.ANY_LENGTH: ["sort"],
    }
    assert not Needs.ANY_LENGTH.met_by(Task(4, 5, min_len=2)) and Needs.SORTING.met_by(Task(4, 5))
    refused = {one.name for one in experiments().values() if one.refusal(Task(4, 5, rule=REVERSE))}
    assert refused == {
        *("which_program", "align_program", "mechanism", "one_reader", "probe_blanks"),
        *("one_list.programs", "one_list.dial"),
    }
    assert {one.name for one in experiments().values() if one.refusal(Task(4, 5, rule=UNIQUE))} == {
        *refused, "heads.attention_patterns", "heads.head_finder", "circuit",
    }  # fmt: skip
