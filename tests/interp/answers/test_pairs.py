"""Minimal pairs: what differs, where they are read, and what is refused."""

from __future__ import annotations

import pytest
import torch

from interp.answers.pairs import make_pairs, sample_pairs
from interp.support.errors import UserError
from interp.task import BLANK, PAD, SEP, SortTask

TASK = SortTask(max_len=5, n_blanks=6)


def test_a_pair_by_hand() -> None:
    pairs = make_pairs(TASK, [[3, 1, 4, 1, 5]], [[3, 1, 4, 1, 9]])
    blanks = [BLANK] * 6
    # The answers 1 1 3 4 5 and 1 1 3 4 9 share four outputs; what follows them is not given.
    assert pairs.clean.tolist() == [[3, 1, 4, 1, 5, SEP, *blanks, 1, 1, 3, 4, PAD]]
    assert pairs.corrupt.tolist() == [[3, 1, 4, 1, 9, SEP, *blanks, 1, 1, 3, 4, PAD]]
    assert pairs.rows.tolist() == [15]  # the position that holds the fourth output, 4
    assert pairs.answers.tolist() == [[5, 9]]


def test_a_pair_that_parts_at_the_first_output_is_read_at_the_last_blank() -> None:
    pairs = make_pairs(TASK, [[3, 1]], [[3, 2]])
    assert pairs.rows.tolist() == [TASK.first_output_row]
    assert pairs.answers.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("clean", "corrupt", "words"),
    [
        ([1, 2], [1, 2, 3], "same length"),
        ([1, 2, 3], [3, 2, 1], "same answer"),
        ([1, 2], [1, 10], "not a digit"),
    ],
)
def test_refusals(clean: list[int], corrupt: list[int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_pairs(TASK, [clean], [corrupt])


def test_sampled_pairs_differ_in_one_digit_and_share_what_is_given() -> None:
    pairs = sample_pairs(TASK, 200, 4, seed=3)
    assert len(pairs) == 200
    assert ((pairs.clean != pairs.corrupt).sum(1) == 1).all()
    changed = (pairs.clean != pairs.corrupt).int().argmax(1)
    assert (changed < TASK.sep_pos).all() and (changed >= 1).all()
    assert (pairs.rows > TASK.first_output_row).all()
    for clean, corrupt, row, (a, b) in zip(
        pairs.clean, pairs.corrupt, pairs.rows, pairs.answers, strict=True
    ):
        step = int(row) - TASK.first_output_row
        first, second = (sorted(TASK.decode_list(x)) for x in (clean, corrupt))
        assert first[:step] == second[:step]
        assert (first[step], second[step]) == (int(a), int(b))
        assert int(a) != int(b)


def test_sampled_pairs_follow_the_seed() -> None:
    one, same, other = (sample_pairs(TASK, 20, 3, seed=s).clean for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("length", [1, 6])
def test_lengths_that_do_not_fit(length: int) -> None:
    with pytest.raises(UserError, match="from 2 to 5"):
        sample_pairs(TASK, 4, length, seed=0)
