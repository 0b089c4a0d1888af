"""Lists as people give them, and what is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interp.answers.behaviour import answer
from interp.answers.decode import exact_match, greedy_decode, score
from interp.answers.pairs import make_pairs
from interp.answers.trials import nothing, run_trials, stratified
from interp.methods.attention import attention_stats
from interp.methods.lens import everywhere
from interp.passes.forward import forward
from interp.passes.packed import packed_logits, window
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import TASK, small_model

SAME: dict[str, Any] = {
    "tuples": ((3, 1, 4), (2, 2)),
    "NumPy integers": [[np.int64(3), np.uint8(1), np.int16(4)], [np.int8(2)] * 2],
    "arrays": [np.array([3, 1, 4]), np.array([2, 2], dtype=np.uint8)],
    "tensors": [torch.tensor([3, 1, 4]), torch.tensor([2, 2], dtype=torch.int32)],
    "scalars of tensors": [list(torch.tensor([3, 1, 4])), list(torch.tensor([2, 2]))],
    "an array of objects": np.array([[3, 1, 4], [2, 2]], dtype=object),
    "a generator": (values for values in ([3, 1, 4], [2, 2])),
    "ranges and maps": [map(int, "314"), (2, 2)],
}


@pytest.mark.parametrize("kind", SAME)
def test_lists_of_any_make(kind: str) -> None:
    wanted = TASK.encode([[3, 1, 4], [2, 2]])
    got = TASK.encode(SAME[kind])
    assert torch.equal(got.tokens, wanted.tokens) and torch.equal(got.lengths, wanted.lengths)


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_the_rows_of_an_array_are_lists(make: Any) -> None:
    wanted = TASK.encode([[3, 1], [2, 2]])
    assert torch.equal(TASK.encode(make([[3, 1], [2, 2]])).tokens, wanted.tokens)
    assert greedy_decode(small_model(), make([[3, 1], [2, 2]])).lists


NO_LISTS: dict[str, tuple[Any, str]] = {
    "true": ([[True, 1]], "True is not a digit"),
    "NumPy's true": ([[np.True_]], "True is not a digit"),
    "a tensor of bools": ([torch.tensor([True, False])], "True is not a digit"),
    "floats": ([[3.0]], "3.0 is not a digit"),
    "an array of floats": ([np.array([3.0, 1.0])], "3.0 is not a digit"),
    "a tensor of floats": (torch.ones(2, 3), "1.0 is not a digit"),
    "text": (["314"], "'314' is not a list of digits"),
    "all text": ("314", "str is no batch of lists"),
    "one list": ([3, 1, 4], "3 is not a list of digits"),
    "one array": (np.array([3, 1, 4]), "3 is not a list of digits"),
    "a number": (7, "int is no batch of lists"),
    "too deep": ([[[3, 1]]], r"\[3, 1\] is not a digit"),
    "a set": ([{3, 1}], r"\{1, 3\} is not a list of digits"),
    "a dict": ([{3: 1}], r"\{3: 1\} is not a list of digits"),
    "none": ([[None]], "None is not a digit"),
    "ten": ([np.array([10])], "10 is not a digit"),
    "negative": ([torch.tensor([-1])], "-1 is not a digit"),
    "an empty list": ([[3], []], "the list is empty"),
    "an empty array": ([np.array([])], "the list is empty"),
    "too long": ([np.zeros(7, dtype=int)], "the list has 7 digits"),
    "no list": ([], "there are no lists"),
    "an array of no lists": (np.zeros((0, 3), dtype=int), "there are no lists"),
}


@pytest.mark.parametrize("kind", NO_LISTS)
def test_what_is_no_list_is_one_line(kind: str) -> None:
    lists, words = NO_LISTS[kind]
    with pytest.raises(UserError, match=words) as raised:
        TASK.encode(lists)
    assert "\n" not in str(raised.value)


EMPTY = TASK.encode([[1]])[:0]


@pytest.mark.parametrize(
    "use",
    [
        lambda model: score(model, EMPTY),
        lambda model: score(model, EMPTY, digits_only=False),
        lambda model: exact_match(model, 0),
        lambda model: greedy_decode(model, []),
        lambda model: answer(model, EMPTY),
        lambda model: run_trials(model, EMPTY, {"as it is": nothing}),
        lambda model: stratified(model, 0, 0),
        lambda model: window(TASK, EMPTY),
        lambda model: everywhere(TASK, EMPTY),
        lambda model: TASK.held_out(0),
        lambda model: TASK.sample(0),
        lambda model: make_pairs(TASK, [], []),
    ],
)
def test_an_empty_batch_is_one_error_everywhere(use: Any) -> None:
    with pytest.raises(UserError, match="there are no lists: give at least one"):
        use(small_model())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("n", [-1, np.int64(0), 2.5, True, "3", None])
@pytest.mark.parametrize(
    "use", [TASK.sample, TASK.held_out, lambda n: exact_match(small_model(), n)]
)
def test_what_is_no_number_of_lists_is_one_line(use: Any, n: Any) -> None:
    with pytest.raises(UserError, match=r"there are no lists|is no number of lists"):
        use(n)


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_are_numbers_of_lists() -> None:
    assert len(TASK.held_out(np.int64(4))) == len(TASK.sample(np.uint8(4))) == 4


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "lengths", [[0, 1], [7, 1], [-1, 2], [1.5, 2.0], [True, True], [1], [1, 2, 3]]
)
def test_lengths_that_do_not_fit_are_refused(lengths: list[Any]) -> None:
    """Of a length beyond the longest, another list was made."""
    with pytest.raises(UserError, match=r"lengths (are|of)"):
        TASK.sample(2, lengths=torch.tensor(lengths))


@pytest.mark.parametrize("use", [packed_logits, forward])
def test_no_pass_is_over_nothing(use: Any) -> None:
    with pytest.raises(UserError, match="there are no lists"):
        use(small_model(), TASK.encode([[1]]).tokens[:0], window(TASK, TASK.encode([[1]])))


def test_other_functions_say_it_in_their_own_words() -> None:
    with pytest.raises(UserError, match="two lists or more"):
        attention_stats(small_model(), EMPTY)
    with pytest.raises(UserError, match="at least one of each"):
        small_model()(EMPTY.tokens)


# -- files ----------------------------------------------------------------------------------------


def test_a_file_holds_a_list_on_each_line(tmp_path: Path) -> None:
    path = tmp_path / "lists.txt"
    path.write_text("3,1,4\n\n  2 2\n[5, 0]\n314\n")
    wanted = [(3, 1, 4), (2, 2), (5, 0), (3, 1, 4)]
    assert TASK.given(str(path)) == wanted
    with pytest.raises(UserError, match=r"holds 4 lists; this is about one"):
        TASK.given_one(str(path))
    path.write_bytes(b"\xef\xbb\xbf3,1,4\r\n2 2\r\n")  # as Windows writes it
    assert TASK.given(str(path)) == [(3, 1, 4), (2, 2)]
    path.write_text("2,2\n")
    assert TASK.given_one(str(path)) == (2, 2)
    assert TASK.given("3,1,4") == [(3, 1, 4)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("3,1\n3,x\n", "line 2: 'x' is not a digit"),
        ("3\n\n\n1,2,3,4,5,6,7\n", "line 4: the list has 7 digits"),
        ("[]\n", "line 1: the list is empty"),
        ("3,12\n", "line 1: '12' is not a digit"),
        ("\n \n", "holds no list"),
    ],
)
def test_a_bad_line_is_named(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "lists.txt").write_text(text)
    with pytest.raises(UserError, match=words):
        TASK.given(str(tmp_path / "lists.txt"))


def test_what_is_no_file_of_lists_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not text"):
        TASK.given(str(tmp_path / "binary"))
    with pytest.raises(UserError, match=str(tmp_path)):
        TASK.given(str(tmp_path))
    with pytest.raises(UserError, match="neither a list like 3,1,4,1,5 nor a file"):
        TASK.given("nothing.txt")
    with pytest.raises(UserError, match="'12' is not a digit"):
        TASK.given("3,12")


def test_pairs_may_come_from_two_files(tmp_path: Path) -> None:
    from analyses.experiment.minimal_pairs import choose_pairs
    from analyses.experiment.settings import PairConfig

    (tmp_path / "clean").write_text("3,1,4\n2,2,5\n")
    (tmp_path / "corrupt").write_text("3,1,7\n2,2,6\n")
    config = PairConfig(list=str(tmp_path / "clean"), corrupt=str(tmp_path / "corrupt"))
    pairs = choose_pairs(TASK, config, 0)
    assert [TASK.decode_list(tokens) for tokens in pairs.clean] == [(3, 1, 4), (2, 2, 5)]
    assert [TASK.decode_list(tokens) for tokens in pairs.corrupt] == [(3, 1, 7), (2, 2, 6)]
    assert config.own == ("clean", "to", "corrupt")
    with pytest.raises(UserError, match="1 clean lists and 2 corrupted ones"):
        choose_pairs(TASK, PairConfig(list="3,1,4", corrupt=config.corrupt), 0)


def test_to_read_lists_needs_no_torch() -> None:
    code = "import sys, interp.lists; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_opens_no_file_that_a_visitor_names(tmp_path: Path) -> None:
    (tmp_path / "lists.txt").write_text("3,1,4\n")
    with pytest.raises(UserError, match="is not a digit"):
        SortTask().parse(str(tmp_path / "lists.txt"))
