"""The soft program recovers a known rule, and the analysis finds the head that was planted."""

from __future__ import annotations

from itertools import product

import torch

from analyses.mechanism import MechanismConfig, compute
from analyses.mechanism.body import MASSES, summary, to_json
from interp.programs.parts import NONE
from interp.programs.soft import Decisions, fit_soft
from interp.sorters.compiled import compile_sorter
from interp.task import SortTask


def decisions(slope: float, digits: range = range(10)) -> Decisions:
    """A model that stays while copies_out < slope * copies_in_list + 1/2, and else says 9."""
    rows = [(d, a, b) for d, a, b in product(digits, range(1, 25), range(1, 25)) if b <= a]
    last, listed, out = torch.tensor(rows).T
    stays = out < slope * listed + 0.5 - (slope == 1) * 1e-3
    none = torch.full_like(last, NONE)
    return Decisions(last, listed, out, none, torch.where(stays, last, 9), torch.arange(len(last)))


def test_the_soft_program_learns_when_a_model_stops_early() -> None:
    rows = decisions(0.9, range(9))
    even = rows.list_number % 2 == 0
    soft, held = fit_soft(rows.take(even), 24), rows.take(~even)
    right = (soft.says(held) == held.said).double().mean()
    hard = (held.hard == held.said).double().mean()
    assert right > 0.985 > 0.9 > hard
    assert soft.beyond == 9
    assert fit_soft(rows.take(even), 24).weights.equal(soft.weights)


def test_it_is_the_hard_program_where_that_is_right() -> None:
    last = torch.tensor([d for d in range(5) for a in range(1, 9) for b in range(1, a + 1)])
    listed = torch.tensor([a for _ in range(5) for a in range(1, 9) for b in range(1, a + 1)])
    out = torch.tensor([b for _ in range(5) for a in range(1, 9) for b in range(1, a + 1)])
    larger = last + 1
    rows = Decisions(last, listed, out, larger, torch.where(out < listed, last, larger), last)
    soft = fit_soft(rows, 48)
    assert soft.says(rows).equal(rows.said)
    assert soft.beyond == NONE


def test_the_head_that_knows_whether_to_stay_is_found_in_the_successor() -> None:
    model = compile_sorter("successor", SortTask(10, 11)).model
    # Enough prompts for 24 pairs whose last output is the same: it runs another program than copy
    # and count, and where the two part a prompt is not used.
    result = compute(model, MechanismConfig(lists=40, prompts=480, pairs=24))
    assert result.flips["MLP 0"].value == 1 and result.flips["MLP 0"].n == 24
    assert abs(float(result.masses.sum()) - 1) < 1e-5 and len(result.masses) == len(MASSES)
    assert result.judged[0].outputs(soft=False).value == 1
    assert summary(result) and to_json(result)["soft"]["weights"]
