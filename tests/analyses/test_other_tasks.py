"""Every analysis of a model whose task is another one: done, or refused in one line."""

from __future__ import annotations

import json

import pytest

from analyses.experiment import Needs
from analyses.experiment.catalogue import experiment, experiments, reported
from analyses.experiment.subjects import OfList
from analyses.known_answers.body import smaller
from analyses.one_list.subject import ListSubject
from interp.rules import MATCH_3, PARITY, REVERSE, SORT, UNIQUE
from interp.task import Task
from tests.models import small_model

RULES = {rule.name: rule for rule in (UNIQUE, PARITY)}  # many lengths of answer; a single output
LISTS = [name for name, one in experiments().items() if one.about is OfList]
BLANK_LISTS = ("one_list.blanks",)  # says nothing of a model as it is


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", [one.name for one in reported()])
def test_of_many_lists(name: str, rule: str, unchecked: None) -> None:
    one, model = experiment(name), small_model(task=Task(5, 6, rule=RULES[rule]))
    if one.refusal(model.task):
        pytest.skip("refused, as another test holds")
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
        *("which_program", "align_program", "mechanism", "probe_blanks", "one_list.programs")
    }
    assert {one.name for one in experiments().values() if one.refusal(Task(4, 5, rule=UNIQUE))} == {
        *refused, "heads.attention_patterns", "heads.head_finder", "circuit",
    }  # fmt: skip
