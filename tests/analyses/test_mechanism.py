"""The soft program recovers a known rule, and the analysis finds the head that was planted."""

from __future__ import annotations

from itertools import product

import torch

from analyses.mechanism import MechanismConfig, compute
from analyses.mechanism.body import MASSES, summary, to_json
from analyses.mechanism.turning import turning
from interp.programs.parts import NONE
from interp.programs.soft import Decisions, fit_soft
from interp.sorters.compiled import compile_sorter
from interp.task import SortTask
from tests.models import small_model


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


def test_what_one_number_of_a_head_does() -> None:
    """Of a random model, whose answers follow no program: what must hold whatever it says."""
    task = SortTask(max_len=6, n_blanks=4)
    found = turning(small_model("pre", 2, task), 1, 40, 0)
    assert found is not None
    shares = found.shares()
    assert all(len(rates) == len(found.values) == 41 for rates in shares.values())
    none, smaller = shares["no digit"], shares["a smaller digit"]
    for said, rate, less in zip(found.said, none, smaller, strict=True):
        assert rate.value == float((said == NONE).double().mean())
        digits_below = [NONE < one < last for one, last in zip(said, found.last, strict=True)]
        assert less.value == sum(digits_below) / len(said)
    at_zero = (found.said[20] == found.last).double().mean()
    assert shares["the same again"][20].value == float(at_zero)
    for each in found.exchanged:
        rates = each.rates()
        assert {rate.n for rate in rates.values()} == {len(each.number)}
        assert rates["nothing"].value <= 1 and each.numbers[0] <= each.numbers[1]


def test_a_head_that_is_all_that_differs_carries_everything() -> None:
    """Of a model whose layer 0 has one head that writes, and no MLP: what it writes says it all."""
    task = SortTask(max_len=6, n_blanks=4)
    model = small_model("none", 1, task)
    with torch.no_grad():
        model.blocks[0].attn.W_V[0] = 0
        model.blocks[0].attn.b_V[0] = 0
        model.pos_embed.W_pos[task.first_output_row + 1 :] = model.pos_embed.W_pos[-1]
    found = turning(model, 1, 40, 0)
    assert found is not None and len(found.exchanged) > 5
    for each in found.exchanged:
        assert each.rates()["the head"].value == 1
        assert each.others.equal(each.untouched[None])  # the other head writes nothing
