"""*Balance*: what it is equal to, literal answers, and that its fit finds what was planted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.programs.balance import SUCCESSOR, BalanceNumbers, balance_program
from interp.programs.balance_fit import Asked, best_cuts, fit_balance
from interp.programs.catalogue import program_of
from interp.programs.edits import KINDS, edited
from interp.programs.program import Program
from interp.task import SortTask

NEVER = (1e9,) * 10
HARD = BalanceNumbers(0.0, 0.0, (0.5,) * 10, 1.0, 0.0, NEVER, 9)
TASK = SortTask(20, 21)


@pytest.mark.parametrize(("vote", "name"), [(0.0, "copy-and-count"), (1.0, "rank-with-last")])
def test_with_plain_numbers_it_is_a_plain_program(vote: float, name: str) -> None:
    soft, hard = balance_program(replace(HARD, vote=vote)), program_of(name)
    # Outputs larger than the last count for nothing in the list's C(<=d), but as outputs.
    for kind in ("drop", "drop five", "insert", "repeat", "too long", "another list's"):
        inputs = edited(TASK, kind, 40, 0).inputs()
        present = hard.trace_batch(inputs)["last"][:, None] == inputs["values"]
        chosen = present.any(1)  # a digit that is not there has no next one by counts alone
        assert torch.equal(soft.answer_batch(inputs)[chosen], hard.answer_batch(inputs)[chosen])


@pytest.mark.parametrize(
    ("values", "prefix", "changed", "said"),
    [
        ([2, 1, 1], [1], {}, 1),
        ([2, 1, 1], [1, 1], {}, 2),
        ([2, 1, 1], [1, 1, 1], {}, 2),
        ([2, 1, 1], [1, 1, 1], {"limit": (0.1,) * 10}, 9),  # -(-1) / (2 + 3 + 1) = 0.17
        ([2, 1, 1], [1, 1, 1], {"limit": (0.2,) * 10}, 2),
        ([2, 1, 1], [1, 1, 1], {"limit": (0.1,) * 10, "share": 1.0}, 2),  # 1 / (6 + 6)
        ([1, 1], [1, 1], {}, 9),  # no larger digit
        ([1, 1], [1, 1], {"beyond": SUCCESSOR}, 2),
        ([9, 9], [9, 9], {"beyond": SUCCESSOR}, 9),
        ([5, 3, 3, 0, 0], [3, 3], {"vote": 0.3}, 3),  # two 0s were left out
        ([5, 3, 3, 0, 0], [0, 0, 0, 0, 3], {"vote": 0.3}, 5),  # two 0s too many
        ([5, 3, 3, 0, 0], [3], {"many": 0.2}, 5),  # one of three copies to come is not enough
        ([4, 6], [], {"least": (-1.0,) * 10}, 4),  # nothing to stay at
    ],
)
def test_literal_answers(
    values: list[int], prefix: list[int], changed: dict[str, object], said: int
) -> None:
    program = balance_program(replace(HARD, **changed))  # type: ignore[arg-type]
    assert program.answer({"values": values, "prefix": prefix}) == said


@given(
    rows=st.lists(
        st.tuples(st.integers(-3, 3), st.booleans(), st.integers(1, 3)), min_size=1, max_size=9
    )
)
def test_a_cut_is_as_good_as_any(rows: list[tuple[int, bool, int]]) -> None:
    value, weight = (torch.tensor([float(row[k]) for row in rows]).double() for k in (0, 2))
    above = torch.tensor([row[1] for row in rows])
    digit = torch.full((len(rows),), 4)
    cuts, right = best_cuts(value, above, weight, digit, (7.0,) * 10)
    assert cuts[:4] == (7.0,) * 4

    def gets(cut: float) -> float:
        return float(weight[(value > cut) == above].sum())

    assert right == gets(cuts[4]) == max(gets(k + 0.5) for k in range(-4, 4))


PLANTED = BalanceNumbers(0.1, 0.02, (0.5, 0.3) * 5, 1.0, 0.05, (0.2, 0.4) * 5, 7)


def asked(program: Program, n: int, seed: int) -> list[Asked]:
    """What a program says to edited prefixes, as if it were a model."""
    inputs = [edited(TASK, kind, n, seed).inputs() for kind in KINDS]
    return [(each, program.answer_batch(each)) for each in inputs]


def test_the_fit_finds_what_was_planted() -> None:
    planted = balance_program(PLANTED)
    numbers = fit_balance(asked(planted, 240, 0))
    assert numbers.beyond == 7 and numbers.vote == pytest.approx(0.1, abs=0.04)
    found, hard = balance_program(numbers), program_of("copy-and-count")
    fresh = asked(planted, 120, 1)
    for inputs, said in fresh:
        assert (found.answer_batch(inputs) == said).float().mean() >= 0.95
    shares = [(hard.answer_batch(inputs) == said).float().mean() for inputs, said in fresh]
    assert min(shares) < 0.8


def test_it_cannot_be_fitted_to_a_program_of_another_kind() -> None:
    numbers = fit_balance(asked(program_of("selection"), 120, 0))
    found = balance_program(numbers)
    shares = [
        (found.answer_batch(inputs) == said).float().mean()
        for inputs, said in asked(program_of("selection"), 120, 1)
    ]
    assert min(shares) < 0.5
