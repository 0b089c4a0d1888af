"""The models compiled for other tasks: every list comes out right, and their truth is so."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.answers.decode import greedy_decode, score
from interp.rules import REVERSE, SORT_20
from interp.sorters.compiled import compile_sorter
from interp.sorters.other_truths import OTHERS
from interp.sorters.truth import RULES, SORTERS, Edge, compiled_for, task_for, truth_of
from interp.support.errors import UserError
from interp.task import Region, SortTask, Task
from tests.interp.sorters.test_compiled import (
    ALL_HEADS,
    cut,
    emitted,
    given_from,
    output_logits,
    sorted_share,
    where,
    zeroed,
)

every_other = pytest.mark.parametrize("name", OTHERS)


def lists_of(task, n_lists=200, seed=0):
    """The longest lists; of parity as many odd as even, nearly."""
    lengths = torch.full((n_lists,), task.max_len)
    return task.sample(n_lists, torch.Generator().manual_seed(seed), lengths)


def right(task, batch):
    return task.answers(batch.tokens[:, : task.max_len])


def chance(name):
    return 0.5 if RULES[name] == "parity" else 0.0


@every_other
def test_every_list_comes_out_right(name, unchecked):
    model = compile_sorter(name).model
    task = model.task
    assert (task.max_len, task.n_blanks, task.rule.name) == (48, 49, OTHERS[name])
    short = [v for n in (1, 2, 3) for v in itertools.product(task.alphabet, repeat=n)]
    equal = [[symbol] * n for symbol in task.alphabet for n in (1, 2, 24, 47, 48)]
    for batch in (task.encode(short), task.encode(equal), task.held_out(480)):
        assert score(model, batch, digits_only=False).exact.all()


@every_other
@given(data=st.data())
def test_any_task_that_it_can_solve(name, data):
    max_len = data.draw(st.integers(1, 6))
    fewest = max_len if name == "relay" else 1 if name == "tally" else 0
    n_blanks = data.draw(st.integers(fewest, fewest + 4))
    task = Task(max_len, n_blanks, data.draw(st.integers(0, 7)), task_for(name).rule)
    symbols = st.integers(0, task.n_symbols - 1)
    lists = data.draw(st.lists(st.lists(symbols, min_size=1, max_size=max_len), min_size=1))
    model = compile_sorter(name, task).model
    assert score(model, task.encode(lists), digits_only=False).exact.all()
    assert greedy_decode(model, lists).lists == [task.answer(values) for values in lists]


@every_other
def test_the_answer_is_lost_without_the_parts_that_carry_it_and_no_others(name):
    task = task_for(name, 5)
    model, truth = (sorter := compile_sorter(name, task)).model, sorter.truth
    batch = lists_of(task)
    assert truth.decoy_heads == set(ALL_HEADS) - truth.heads
    for layer, head in ALL_HEADS:

        def zero_head(x, hook, head=head):
            return zeroed(x, hook, (slice(None), slice(None), head))

        share = sorted_share(model, batch, [(f"blocks.{layer}.attn.hook_z", zero_head)])
        lost = (layer, head) in truth.heads
        assert share <= chance(name) + 0.15 if lost else share == 1, (layer, head)
    for layer in range(2):
        share = sorted_share(model, batch, [(f"blocks.{layer}.hook_mlp_out", zeroed)])
        assert share <= chance(name) + 0.15 if layer in truth.mlps else share == 1, layer


@every_other
@pytest.mark.parametrize(("max_len", "n_blanks"), [(5, 6), (5, 5), (4, 9)])
def test_edges_are_enough_and_each_is_needed(name, max_len, n_blanks):
    task = Task(max_len, n_blanks, rule=task_for(name).rule)
    model, truth = (sorter := compile_sorter(name, task)).model, sorter.truth
    batch = lists_of(task)
    edges = where(truth.edges, task)
    assert sorted_share(model, batch, cut(~edges, renormalised=False)) == 1
    clean = output_logits(model, batch.tokens)
    for edge in truth.edges:
        moved = output_logits(model, batch.tokens, cut(where((edge,), task), renormalised=False))
        assert (moved - clean).abs().max() > 0.5, edge


@every_other
def test_the_answer_follows_the_content_that_is_read(name):
    task = task_for(name, 5)
    model, truth = (sorter := compile_sorter(name, task)).model, sorter.truth
    a, b = lists_of(task, seed=1), lists_of(task, seed=2)
    with torch.no_grad():
        donor = model.run_with_cache(b.tokens)[1]
    blanks = list(range(task.sep_pos + 1, task.first_output_row + 1))
    digits = list(range(task.sep_pos + 1))
    for positions, read in ((blanks, truth.blanks_content), (digits, truth.digits_content)):
        got = emitted(model, a.tokens, given_from(donor, positions))
        assert (got == right(task, b if read else a)).all()


def test_relay_each_blank_feeds_its_output_alone():
    task = task_for("relay", 5)
    model = compile_sorter("relay", task).model
    a, b = lists_of(task, seed=1), lists_of(task, seed=2)
    with torch.no_grad():
        donor = model.run_with_cache(b.tokens)[1]
    for blank in range(task.max_len):
        expected = right(task, a).clone()
        expected[:, blank] = right(task, b)[:, blank]
        got = emitted(model, a.tokens, given_from(donor, [task.sep_pos + 1 + blank]))
        assert (got == expected).all()


def test_edges_that_are_named():
    last, out = Region.LAST_BLANK, Region.OUTPUTS
    assert truth_of("mirror").edges == (
        Edge(1, 0, last, Region.DIGITS),
        Edge(1, 0, out, Region.DIGITS),
    )
    assert [str(edge) for edge in truth_of("tally").circuit] == [
        "embed@digits > 0.2.v@blanks",
        "embed@digits > 0.2.v@last blank",
        "0.2@blanks > 1.0.v@last blank",
        "0.2@last blank > 1.0.v@last blank",
        "1.0@last blank > mlp1@last blank",
        "mlp1@last blank > logits@last blank",
    ]


def test_which_model_is_for_which_task():
    assert compiled_for("sort") == SORTERS and compiled_for("reverse") == ("relay", "mirror")
    with pytest.raises(UserError, match="nothing is compiled by hand for the task 'match3'"):
        compiled_for("match3")
    with pytest.raises(UserError, match="model slots solves the task sort, not reverse"):
        compile_sorter("slots", Task(rule=REVERSE))
    with pytest.raises(UserError, match="model tally solves the task parity, not sort"):
        truth_of("tally", SortTask())
    with pytest.raises(UserError, match=r"relay needs at least 5 blanks .* up to 5 digits, not 4"):
        truth_of("relay", Task(5, 4, rule=REVERSE))


def test_a_sorter_sorts_another_alphabet(unchecked):
    task = Task(6, 7, rule=SORT_20)
    assert score(compile_sorter("histogram", task).model, task.held_out(200)).exact.all()
