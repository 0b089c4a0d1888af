"""``--lists FILE``: lists of one's own in place of those that an analysis samples."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses.experiment import Experiment, main
from analyses.experiment.catalogue import experiment, experiments
from analyses.experiment.given import Given, own_or, read_given, using
from analyses.experiment.settings import PairConfig
from analyses.experiment.subjects import OfList, OfModel
from analyses.known_answers.body import smaller
from analyses.one_list.subject import ListSubject, TwoModels
from interp.answers.pairs import pairs_from
from interp.checkpoints import save_model, shipped_models
from interp.lists import DIGITS, read_text
from interp.methods.probes import probing_lists
from interp.rules import PARITY, REVERSE, UNIQUE
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import SortBatch, Task, typed
from tests.covers import few
from tests.models import TASK, small_model

SEED = 3
TAKES = {name: one for name, one in experiments().items() if one.own_lists is not None}
OF_MODELS = [name for name, one in TAKES.items() if one.about is OfModel]
PAIRS = ("patch_blanks", "path_blanks")  # a list's partner is drawn for it, and so is another one
FEWER: dict[str, dict[str, int]] = {
    "probe_blanks": {"lists_any_length": 80, "lists_one_length": 60, "blanks": 1},
    "attribution": {"lists": 12, "pairs": 4, "steps": 2},
    "circuit": {"searched": 4, "lists": 4},
    "heads.head_finder": {"reference": 4},
}


def of_length(task: Task, n: int, length: int, name: str) -> SortBatch:
    return task.sample(n, stream(name, SEED), torch.full((n,), min(length, task.max_len)))


DRAWN: dict[str, Callable[[Task, Any], SortBatch]] = {
    "transplant_blanks": lambda task, asked: task.held_out(asked.pairs, SEED),
    "blank_output_matrix": lambda task, asked: of_length(
        task, asked.pairs, asked.length, "matrix pairs"
    ),
    "heads.attention_patterns": lambda task, asked: of_length(
        task, asked.lists, asked.length, "patterns"
    ),
    "probe_blanks": lambda task, asked: probing_lists(task, asked.lists_any_length, SEED),
}
"""What the seed draws; of others the held-out lists."""


def settings_of(one: Experiment) -> Any:
    asked = smaller(one.settings)
    return type(asked)(**{**vars(asked), **FEWER.get(one.name, {})})


def as_text(lists: list[tuple[int, ...]]) -> str:
    return "".join(f"{typed(values)}\n" for values in lists)


# -- the very lists that a seed draws -------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in OF_MODELS if n not in (*PAIRS, "circuit")])
def test_the_lists_that_a_seed_draws_give_what_the_seed_gives(name, unchecked):
    one, model = experiment(name), small_model()
    asked = settings_of(one)
    batch = DRAWN.get(name, lambda task, s: task.held_out(s.lists, SEED))(TASK, asked)
    text = as_text([TASK.decode_list(tokens) for tokens in batch.tokens])
    own = read_given("drawn.txt", text, TASK)
    by_seed, by_file = (
        one.outcome(one.compute(model, asked, SEED, lists=lists)).json for lists in (None, own)
    )
    if name == "ablate_blanks":  # single blanks are then of these, too, and not of a few lengths
        by_seed, by_file = (
            {k: v for k, v in found.items() if k not in ("each_blank", "dose_curve")}
            for found in (by_seed, by_file)
        )
    same = json.dumps(by_seed, sort_keys=True) == json.dumps(by_file, sort_keys=True)
    assert same, {k for k in by_seed if by_seed[k] != by_file[k]}


def test_other_lists_give_something_else(unchecked):
    """The file is really read: of one list fewer the result is another."""
    one, model = experiment("shift_blanks"), small_model()
    lists = tuple(TASK.decode_list(tokens) for tokens in TASK.held_out(12, SEED).tokens)
    all_of_them, fewer = (
        one.outcome(one.compute(model, None, SEED, lists=Given(some, "a.txt", ""))).json
        for some in (lists, lists[:-1])
    )
    assert all_of_them != fewer


@pytest.mark.parametrize("name", few(OF_MODELS, *OF_MODELS[::3]))
def test_the_fewest_lists_are_enough(name, unchecked):
    """All of one length, for what compares positions."""
    one, model = experiment(name), small_model(n_layers=1 + (name != "circuit"))  # fewer edges
    some = [tuple((3 * i + j) % 10 for j in range(5)) for i in range(one.own_lists.least)]
    outcome = one.outcome(
        one.compute(model, settings_of(one), SEED, lists=read_given("a.txt", as_text(some), TASK))
    )
    outcome.figure.to_json()
    json.dumps([outcome.json, outcome.words, outcome.rows], allow_nan=False)


def test_two_models_on_lists_of_ones_own(unchecked):
    one, model = experiment("one_list.compare_models"), small_model()
    subject = TwoModels(ListSubject(model, (1, 2)), ListSubject(small_model(seed=2), (1, 2)))
    own = read_given("a.txt", "3,1\n2,2,1\n4,4\n", TASK)
    asked = type(one.settings)(part="lengths")
    assert one.compute(subject, asked, lists=own) is not None
    with pytest.raises(UserError, match="--part outputs is of no file of lists"):
        one.compute(subject, type(one.settings)(part="outputs"), lists=own)


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in experiments() if n not in TAKES])
def test_what_makes_its_own_refuses(name):
    with pytest.raises(UserError, match="takes no file of lists") as refused:
        experiment(name).compute(None, lists=Given(((1,),), "a.txt", ""))
    assert ("it is about one list, --list" in str(refused.value)) == name.startswith("one_list.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3,1\n\n2,x\n", "a.txt, line 3: 'x' is not a digit from 0 to 9"),
        ("3,1\n1234567\n", "a.txt, line 2: the list has 7 digits; this model takes 1 to 6"),
        ("\n \n", "a.txt holds no list"),
        ("[]", "a.txt, line 1: the list is empty"),
        ("[[3, 1], [2, 10]]", "a.txt, list 2: 10 is not a digit"),
        ("[[3, 1], 7]", "a.txt, list 2: 7 is not a list of digits"),
        ("[[3, 1], []]", "a.txt, list 2: the list is empty"),
        ("[[3, 1], [2.0]]", "a.txt, list 2: 2.0 is not a digit"),
        ("[[3, 1], [2", "a.txt is no JSON: "),
    ],
)
def test_what_is_no_list_is_named_by_its_number(text, words):
    with pytest.raises(UserError) as refused:
        read_given("a.txt", text, TASK)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_lines_and_json_hold_the_same_lists():
    lines = read_text("3,1,4\n\n2 2\n[5, 5, 1]\n", "a", DIGITS, 6)
    assert lines == read_text("[[3, 1, 4],\n [2, 2], [5, 5, 1]]", "a", DIGITS, 6)
    assert lines == [(3, 1, 4), (2, 2), (5, 5, 1)]


def test_lists_of_several_lengths_where_positions_are_compared():
    own = read_given("a.txt", "3,1\n2,2,1\n", TASK)
    for name in ("patch_blanks", "blank_output_matrix", "heads.attention_patterns"):
        with pytest.raises(UserError, match="list 1 has 2, and list 2 has 3"):
            experiment(name).compute(small_model(), lists=own)


def test_too_few_lists_are_a_line():
    with pytest.raises(UserError, match="holds 1 lists; this analysis takes at least 60"):
        experiment("probe_blanks").compute(small_model(), lists=read_given("a.txt", "3", TASK))


def test_a_pair_and_a_file_contradict_each_other():
    asked = experiment("patch_blanks").settings
    asked = type(asked)(list="3,1,4", corrupt="3,1,5")
    assert isinstance(asked, PairConfig)
    with pytest.raises(UserError, match="give --list and --corrupt, or --lists FILE"):
        experiment("patch_blanks").compute(
            small_model(), asked, lists=read_given("a.txt", "3,1,4", TASK)
        )


# -- pairs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [TASK, Task(5, 3, rule=REVERSE), Task(5, 3, rule=PARITY)])
def test_given_lists_get_partners_that_differ_in_one_digit(task):
    lists = [tuple((i + j) % task.n_symbols for j in range(4)) for i in range(8)]
    pairs = pairs_from(task, lists, SEED)
    clean = [task.decode_list(tokens) for tokens in pairs.clean]
    assert clean == lists
    for own, tokens, row in zip(lists, pairs.corrupt, pairs.rows, strict=True):
        other = task.decode_list(tokens)
        assert sum(a != b for a, b in zip(own, other, strict=True)) == 1
        answers = task.answer(own), task.answer(other)
        apart = next(i for i, (a, b) in enumerate(zip(*answers, strict=True)) if a != b)
        assert row == task.first_output_row + apart
        assert apart > 0 or len(answers[0]) == 1
    assert torch.equal(pairs_from(task, lists, SEED).corrupt, pairs.corrupt)


def test_a_list_without_a_partner_is_named():
    """Of a single digit the first output, the digit, is not the only one: SEP comes after it."""
    with pytest.raises(UserError, match="list 1: whatever single digit is exchanged"):
        pairs_from(Task(3, 2, rule=UNIQUE), [(4,)], SEED)


# -- in the block, and in the command -------------------------------------------------------------


def test_outside_the_block_lists_are_drawn():
    own, drawn = read_given("a.txt", "3,1\n2,2\n4\n", TASK), TASK.held_out(5)
    with using(own):
        assert own_or(TASK, lambda: drawn).lengths.tolist() == [2, 2, 1]
        assert len(own_or(TASK, lambda: drawn, 2)) == 2
    assert own_or(TASK, lambda: drawn) is drawn
    with pytest.raises(RuntimeError), using(own):
        raise RuntimeError
    assert own_or(TASK, lambda: drawn) is drawn


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", small_model())
    return tmp_path / "model"


@pytest.mark.parametrize("joined", [False, True])
def test_the_command_names_the_file_and_its_hash(joined, model, tmp_path, status, capsys):
    text = "3,1,4\n2,2,1\n"
    (tmp_path / "mine.txt").write_text(text)
    file = str(tmp_path / "mine.txt")
    flags = [f"--lists={file}"] if joined else ["--lists", file]
    argv = ["--model", str(model), "--out", str(tmp_path / "results"), "--json", *flags]
    assert status(experiment("shift_blanks"), argv) == 0
    found = json.loads(capsys.readouterr().out)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert found["own_lists"] == {"file": "mine.txt", "sha256": digest, "n": 2}
    assert found["config"]["lists"] == 2
    assert found["finding"][0] == (
        "Of mine.txt: 2 lists of one's own, in place of lists that are drawn."
    )


@pytest.mark.parametrize("name", ["behaviour", "ablate_blanks", "logit_lens"])
def test_words_and_figure_say_whose_lists_they_are_of(name, unchecked):
    """They are written of held-out lists, of random digits, as many of every length."""
    one, model = experiment(name), small_model()
    own = read_given("mine.txt", "3,1,4\n2,2,1\n", TASK)
    result = one.compute(model, settings_of(one), SEED, lists=own)
    drawn, given = one.outcome(result), one.outcome(result, own)
    assert "held-out" in " ".join(drawn.words) and given.words[0].startswith("2 lists of mine.txt")
    told = " ".join([*given.words, given.figure.to_json()])
    assert not re.search("held-out|random digits|as many of every length", told)
    assert given.json == drawn.json


def test_the_words_are_of_the_task_s_own_symbols(unchecked):
    own = read_given("mine.txt", "1,0,1\n0,0,1\n", Task(5, 6, rule=PARITY))
    drawn = "of random bits, of 8 random digits: 24 held-out lists"
    assert own.told(drawn) == "of mine.txt, of 8 random digits: 24 lists of mine.txt"


@pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")
def test_a_command_without_a_flag_runs(tmp_path, status, monkeypatch, capsys):
    """As the README types it: it ended in a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["command"])
    one = experiment("one_list.answer")
    assert status(lambda argv: main(one), []) == 0
    assert (tmp_path / "results").is_dir() and "wrote" in capsys.readouterr().err


def test_a_number_still_says_how_many(model, tmp_path, status, capsys):
    argv = ["--model", str(model), "--out", str(tmp_path / "results"), "--json", "--lists", "12"]
    assert status(experiment("shift_blanks"), argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"]["lists"] == 12 and "own_lists" not in found


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("shift_blanks", "absent.txt", "cannot read"),
        ("shift_blanks", "bad.txt", "bad.txt, line 2: 'x' is not a digit"),
        ("mechanism", "bad.txt", "mechanism takes no file of lists: what it looks at"),
        ("one_list.answer", "bad.txt", "takes no file of lists: it is about one list, --list"),
    ],
)
def test_bad_files_are_one_line(name, file, words, model, tmp_path, status, capsys):
    (tmp_path / "bad.txt").write_text("3,1\n2,x\n")
    argv = ["--model", str(model), "--out", str(tmp_path / "results")]
    assert status(experiment(name), [*argv, "--lists", str(tmp_path / file)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error
    assert not (tmp_path / "results").exists()


def test_one_list_s_record_says_nothing_of_files(model, tmp_path, status, capsys):
    one = experiment("one_list.answer")
    assert one.about is OfList
    argv = ["--model", str(model), "--out", str(tmp_path / "results"), "--json", "--list", "3,1"]
    assert status(one, argv) == 0
    assert "lists_file" not in json.loads(capsys.readouterr().out)
