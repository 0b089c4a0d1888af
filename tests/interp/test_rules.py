"""Rules: plain and vectorised answers agree, and layout, decoding and checkpoints follow them."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analyses.experiment.catalogue import experiment
from interp.answers.decode import decode_stepwise, greedy_decode, score
from interp.answers.pairs import sample_pairs
from interp.answers.trials import nothing, run_trials
from interp.checkpoints import load_model, save_model
from interp.lists import DIGITS, Symbols
from interp.model import SortTransformer
from interp.rule import Rule
from interp.rules import MATCH_3, PARITY, REVERSE, RULES, SORT, UNIQUE, read_rule, rule_named
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import Region, SortTask, Task
from tests.models import small_model

OTHERS = [name for name in RULES if name != "sort"]


def task_of(name: str, max_len: int = 6, n_blanks: int = 3) -> Task:
    return Task(max_len, n_blanks, rule=RULES[name])


def lists_for(task: Task) -> st.SearchStrategy[list[int]]:
    symbols = st.sampled_from(task.alphabet)
    return st.lists(symbols, min_size=1, max_size=task.max_len)


# -- right answers --------------------------------------------------------------------------------

BY_HAND = {
    "sort": ([3, 1, 4, 1], (1, 1, 3, 4)),
    "sort-descending": ([3, 1, 4, 1], (4, 3, 1, 1)),
    "sort-20": ([13, 1, 19, 1], (1, 1, 13, 19)),
    "reverse": ([3, 1, 4, 1], (1, 4, 1, 3)),
    "unique": ([3, 1, 4, 1], (1, 3, 4, 10)),  # 10 is SEP, which ends it
    "parity": ([1, 0, 1, 1], (1,)),
    "match3": ([3, 1, 4, 3], (1,)),  # 3 + 4 + 3
    "threes": ([1, 2, 10, 12, 0], (2,)),  # 1 + 2 + 10 and 1 + 12 + 0
}


@pytest.mark.parametrize("name", RULES)
def test_answers_by_hand(name: str) -> None:
    values, answer = BY_HAND[name]
    assert task_of(name).answer(values) == answer


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_three_digits_are_found_by_trying_all(values: list[int]) -> None:
    found = any((a + b + c) % 10 == 0 for a, b, c in permutations(values, 3))
    assert MATCH_3.answer(values) == [int(found)]


@pytest.mark.parametrize("name", RULES)
@given(data=st.data())
def test_many_answers_at_once_are_the_plain_ones(name: str, data: st.DataObject) -> None:
    task = task_of(name)
    lists = data.draw(st.lists(lists_for(task), min_size=1, max_size=5))
    slots = task.encode(lists).tokens[:, : task.max_len]
    plain = replace(task, rule=replace(task.rule, batch=None))
    assert task.rule.batch is not None
    assert torch.equal(task.answers(slots), plain.answers(slots))
    assert plain.answers(slots).shape == (len(lists), task.n_outputs())


@pytest.mark.parametrize("name", RULES)
def test_lists_come_back_and_their_answers_are_scored(name: str) -> None:
    task = task_of(name)
    batch = task.sample(60, stream("rules", name))
    lists = [task.decode_list(tokens) for tokens in batch.tokens]
    assert torch.equal(task.encode(lists).tokens, batch.tokens)
    assert [len(values) for values in lists] == batch.lengths.tolist()
    scored, targets = task.scored_digits(batch.tokens), task.targets(batch.tokens)
    for values, rows, wanted in zip(lists, scored, targets, strict=True):
        answer = task.answer(values)
        assert tuple(wanted[rows].tolist()) == answer
        assert rows.nonzero()[0] == task.first_output_row
        assert len(answer) <= task.n_outputs(len(values)) == len(task.output_rows(len(values)))


@pytest.mark.parametrize("name", RULES)
def test_regions_and_labels_cover_the_positions(name: str) -> None:
    task = task_of(name)
    for length in range(1, task.max_len + 1):
        regions = [task.region_of(p, length) for p in range(task.n_ctx)]
        labels = Counter(label.split()[0] for label in task.labels(length))
        assert len(task.labels(length)) == task.n_ctx
        assert Counter(regions)[Region.DIGITS] == labels["in"] == length
        assert labels["out"] == task.n_outputs(length)
        assert Counter(regions)[Region.OUTPUTS] == task.n_outputs(length) - 1


def test_three_or_none_are_drawn_at_even_chance() -> None:
    task = task_of("match3", max_len=12)
    batch = task.sample(2000, stream("rules", "balance"))
    answers = task.answers(batch.tokens[:, :12])[:, 0].double()
    long = batch.lengths >= 4
    assert 0.45 < float(answers[long].mean()) < 0.55
    assert (answers[batch.lengths < 3] == 0).all()


# -- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OTHERS)
def test_greedy_decoding_is_token_by_token(name: str) -> None:
    task = task_of(name)
    model = small_model(task=task)
    lists = [task.decode_list(tokens) for tokens in task.sample(12, stream("rules", name)).tokens]
    said = greedy_decode(model, lists).lists
    assert said == decode_stepwise(model, lists)
    exact = [answer == task.answer(values) for values, answer in zip(lists, said, strict=True)]
    assert score(model, task.encode(lists)).exact.tolist() == exact
    trials = run_trials(model, task.encode(lists), {"as it is": nothing})
    assert trials.exact("as it is").tolist() == exact


def always(task: Task, token: int) -> SortTransformer:
    """A model that says one token, whatever it reads."""
    model = small_model(task=task)
    with torch.no_grad():
        model.unembed.W_U.zero_()
        model.unembed.b_U.zero_()
        model.unembed.b_U[token] = 1.0
    return model


def test_an_answer_ends_with_sep_and_is_exact_with_it_only() -> None:
    task = task_of("unique")
    assert greedy_decode(always(task, task.sep), [[3, 1, 3]]).lists == [(task.sep,)]
    said = greedy_decode(always(task, 3), [[3, 1, 3], [3]]).lists
    assert said == [(3, 3, 3, 3), (3, 3)]  # as long as they may be
    assert not score(always(task, 3), task.encode([[3]])).exact.any()
    batch = task.encode([[3, 3], [3, 1]])
    ends = run_trials(always(task, task.sep), batch, {"as it is": nothing})
    assert ends.under("as it is").right.tolist()[0] == [False, True] + [False] * 5


@pytest.mark.parametrize("name", RULES)
def test_minimal_pairs_differ_in_one_place_and_in_their_answers(name: str) -> None:
    task = task_of(name)
    pairs = sample_pairs(task, 10, 5, seed=3)
    for clean, corrupt, row, answers in zip(
        pairs.clean, pairs.corrupt, pairs.rows.tolist(), pairs.answers.tolist(), strict=True
    ):
        ours, theirs = (task.decode_list(tokens) for tokens in (clean, corrupt))
        assert sum(a != b for a, b in zip(ours, theirs, strict=True)) == 1
        output = row - task.first_output_row
        assert [task.answer(ours)[output], task.answer(theirs)[output]] == answers
        assert task.answer(ours)[:output] == task.answer(theirs)[:output]
        assert output > 0 or task.n_outputs(5) == 1


# -- checkpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_a_model_remembers_its_rule(name: str, tmp_path: Path) -> None:
    task = task_of(name)
    save_model(tmp_path / "model", small_model(task=task))
    assert load_model(tmp_path / "model").model.task == task
    stored = json.loads((tmp_path / "model" / "config.json").read_text())["model"]["task"]
    assert stored.get("rule") == (None if name == "sort" else name)  # hashes stay those of old


def test_to_sort_digits_is_the_default() -> None:
    assert SortTask is Task and Task().rule is SORT is rule_named("sort")
    assert Task.from_dict({"max_len": 4}) == Task(4)


def test_a_checkpoint_runs_no_file(tmp_path: Path) -> None:
    save_model(tmp_path / "model", small_model(task=task_of("reverse")))
    (tmp_path / "bad.py").write_text("raise SystemExit('it was run')")
    path = tmp_path / "model" / "config.json"
    path.write_text(path.read_text().replace('"reverse"', f'"{tmp_path / "bad.py"}"'))
    with pytest.raises(UserError, match=r"there is no task .*there is sort, "):
        load_model(tmp_path / "model")


def test_an_analysis_that_needs_another_task_says_so_in_a_line(
    tmp_path: Path, status: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for rule, name, words in (
        (REVERSE, "which_program", "which_program needs the task to sort digits"),
        (UNIQUE, "heads.head_finder", "answers to lists of one length are of one length"),
    ):
        folder = tmp_path / rule.name
        save_model(folder, small_model(task=Task(5, 6, rule=rule)))
        assert status(experiment(name), ["--model", str(folder)]) == 2
        error = capsys.readouterr().err
        assert words in error and error.endswith(f"this model's is {rule.name}\n")
        assert error.count("\n") == 1


# -- rules of one's own ---------------------------------------------------------------------------


def first(values: list[int]) -> list[int]:
    return values[:1]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("wrong", DIGITS, first, "?"), "says that an answer has 3 symbols"),
        (Rule("wrong", Symbols(5), lambda v: [sum(v)] * len(v), "?"), "no number from 0"),
        (Rule("wrong", DIGITS, lambda v: [*v, 1], "?", ends=True), "an answer has 3 symbols"),
    ],
)
def test_a_rule_that_breaks_its_word_is_refused(rule: Rule, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Task(4, 2, rule=rule).encode([[3, 1, 4]])


def test_names_and_alphabets_that_cannot_be() -> None:
    with pytest.raises(UserError, match="lower-case letters"):
        Rule("../x", DIGITS, sorted, "?")
    with pytest.raises(UserError, match="two symbols"):
        Rule("x", Symbols(1), sorted, "?")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RULE = 3", "holds no RULE"),
        ("1 / 0", "cannot be run: ZeroDivisionError"),
        ("from interp.rules import SORT as RULE", "the name of a task that ships"),
    ],
)
def test_a_file_that_holds_no_task_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError, match=words):
        read_rule(tmp_path / "mine.py")
    with pytest.raises(UserError, match="is no Python file"):
        read_rule(tmp_path / "absent.py")


def test_long_numbers_are_typed_apart() -> None:
    task = task_of("sort-20")
    assert task.parse("13, 2") == (13, 2)
    for text, words in (("132", "'132' is not a number from 0 to 19"), ("20", "'20' is not a")):
        with pytest.raises(UserError, match=words):
            task.parse(text)
    assert Task(4, 1, rule=PARITY).parse("0110") == (0, 1, 1, 0)
    with pytest.raises(
        UserError, match="'2' is not a bit from 0 to 1; a list looks like 1,1,0,1,1"
    ):
        Task(4, 1, rule=PARITY).parse("012")


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_a_copy_of_a_task_is_the_same_task(rule: Rule) -> None:
    """A model that is copied or sent to another process is written as the same model."""
    task = SortTask(5, 6, rule=rule)
    for other in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):  # noqa: S301
        assert other == task
        assert other.to_dict() == task.to_dict()
        assert SortTask.from_dict(other.to_dict()).to_dict() == task.to_dict()


def test_rules_are_pickled_by_their_names(tmp_path: Path) -> None:
    """As a page that keeps results does it; also those whose functions no module holds."""
    path = tmp_path / "first.py"
    path.write_text(
        "from interp.lists import Symbols\nfrom interp.rule import Rule\n\n\n"
        "def answer(values):\n    return values[:1]\n\n\n"
        "RULE = Rule('first-of-all', Symbols(5), answer, 'its first', outputs=lambda n: 1)\n"
    )
    own = read_rule(path)
    for rule in (own, SORT, MATCH_3):
        again = pickle.loads(pickle.dumps(Task(4, 5, rule=rule)))  # noqa: S301 (our own)
        assert again == Task(4, 5, rule=rule)
        assert copy.deepcopy(rule) is rule
    other = replace(SORT, verb=("puts", "put"))  # of that name, and another
    assert copy.deepcopy(other) == other != SORT
