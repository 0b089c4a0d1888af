"""What the blanks are for, on sorters of which it is known, and the interventions by hand."""

from __future__ import annotations

import math

import pytest
import torch

from analyses.reduce_blanks import ReduceConfig, compute
from analyses.reduce_blanks.body import (
    AS_IT_IS,
    EQUAL,
    NOTHING,
    ONE,
    SHARE,
    summary,
    to_json,
)
from interp.interventions import Mask, edits_of
from interp.methods.reductions import Merge, Replace, contribution
from interp.passes.forward import forward
from interp.passes.packed import window
from interp.sites import Component
from interp.sorters.compiled import compile_sorter
from interp.task import Region, SortTask
from tests.models import TASK, small_model

FEW = ReduceConfig(lists=40)
BLANKS = TASK.region(Region.BLANKS)
ROWS = TASK.output_rows()


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("slots", AS_IT_IS),  # every blank holds a digit of its own
        ("histogram", NOTHING),  # all hold the same counts, the last one too, and that one stays
        ("direct", NOTHING),
        ("sink", SHARE),  # the last blank stays, a sink by itself: the share makes up for the rest
        ("successor", NOTHING),
    ],
)
def test_what_the_blanks_of_compiled_sorters_are_for(name: str, least: str) -> None:
    result = compute(compile_sorter(name, SortTask(10, 11)).model, FEW)
    assert result.least == least
    assert result.trials.exact(AS_IT_IS).all()
    assert summary(result) and to_json(result)["least"] == least


def test_one_blank_will_do_where_all_hold_the_same() -> None:
    result = compute(compile_sorter("histogram", SortTask(10, 11)).model, FEW)
    assert result.trials.exact(ONE).all()
    assert not result.trials.exact(EQUAL).any()


def test_equal_places_may_be_merged_and_made_constant() -> None:
    result = compute(compile_sorter("sink", SortTask(10, 11)).model, FEW)
    assert result.trials.exact(ONE).all() and result.trials.exact(EQUAL).all()


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_merging_is_the_softmax_of_a_raised_score(norm: str) -> None:
    model, batch = small_model(norm), TASK.encode([[3, 1, 2, 5, 5, 0]])
    view, kept = window(TASK, batch, digits_only=True), BLANKS[1]
    edits = edits_of(model, [Merge(ROWS, BLANKS, kept)])
    places = [(Component.SCORES, 0), (Component.PATTERN, 0)]
    plain = forward(model, batch.tokens, view, keep=places[:1]).at(Component.SCORES, 0)
    run = forward(model, batch.tokens, view, edits, keep=places)
    scores = plain[0, :, ROWS[2]].clone()
    scores[:, kept] += math.log(len(BLANKS))
    others = [b for b in BLANKS if b != kept]
    scores[:, others] = -torch.inf
    torch.testing.assert_close(run.at(Component.PATTERN, 0)[0, :, ROWS[2]], scores.softmax(-1))
    untouched = ROWS.start - 1
    torch.testing.assert_close(
        run.at(Component.PATTERN, 0)[0, :, untouched], plain[0, :, untouched].softmax(-1)
    )


def test_replacing_by_nothing_is_the_mask_and_by_its_own_mean_changes_nothing() -> None:
    model, batch = small_model(n_layers=1), TASK.encode([[3, 1, 2, 5, 5, 0]])
    view = window(TASK, batch, digits_only=True)
    zeros, ones = torch.zeros(1, 2, 8), torch.ones(1, 2)
    masked = forward(model, batch.tokens, view, edits_of(model, [Mask(ROWS, BLANKS)])).logits
    replaced = edits_of(model, [Replace(ROWS, BLANKS, zeros, ones)])
    torch.testing.assert_close(forward(model, batch.tokens, view, replaced).logits, masked)
    # Of a single output there is nothing to average: its own contribution, and so its own logits.
    single = TASK.encode([[7]])
    view, means = window(TASK, single, digits_only=True), contribution(model, single)
    edits = edits_of(model, [Replace(ROWS[:1], BLANKS, means.vectors)])
    own = forward(model, single.tokens, view).logits
    torch.testing.assert_close(forward(model, single.tokens, view, edits).logits, own)
    shared = edits_of(model, [Replace(ROWS[:1], BLANKS, means.vectors, means.rest)])
    torch.testing.assert_close(forward(model, single.tokens, view, shared).logits, own)
