"""Variables are found where compiled sorters have them, and pairs are what they are said to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analyses.align_program import EXPERIMENT, AlignConfig, compute
from analyses.align_program.body import summary, to_json, verdicts
from analyses.align_program.subspaces import FOUND, Subspace, drawn, halves, searched
from interp.methods.interchange import record
from interp.methods.subspaces import exchanged_in, random_subspace
from interp.model import SortTransformer
from interp.passes.forward import Place
from interp.programs.catalogue import program_of
from interp.programs.pairing import GROUP, Sources, make_pool, pair_up
from interp.sites import Component
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.stats import wilson
from interp.task import SortTask
from tests.covers import few
from tests.models import small_model

TASK = SortTask(10, 11)
FEW = AlignConfig(prompts=96, pairs=20)


@pytest.mark.parametrize("name", few(SORTERS, "slots"))
def test_the_variables_of_compiled_sorters_are_where_they_were_put(name: str) -> None:
    sorter = compile_sorter(name, TASK)
    found = verdicts(compute(sorter.model, FEW, seed=1))
    assert found["list"] == sorted(sorter.truth.list_in)
    assert found["answer"] == sorted(sorter.truth.answer_in)
    assert found["foreign"] is False


def test_pairs_change_the_answer_or_as_controls_do_not() -> None:
    pool, program = make_pool(TASK, 90, 0), program_of("copy-and-count")
    for variable in program.names:
        for family in ("alike", "any", "control"):
            pairs = pair_up(program, variable, pool, 30, 0, family)
            assert len(set(pairs.base.tolist())) == len(pairs)
            for base, source, answer, wanted in zip(
                pairs.base, pairs.source, pairs.answer, pairs.counterfactual, strict=True
            ):
                own, other = (
                    {"values": pool.lists[n], "prefix": pool.prefixes[n]} for n in (base, source)
                )
                value = program.trace(other)[variable]
                assert program.answer(own) == answer
                assert program.answer(own, {variable: value}) == wanted
                assert (answer == wanted) == (family == "control")
                assert program.trace(own)[variable] != value
                assert len(own["values"]) == len(other["values"])


def test_nearly_every_alike_source_differs_in_nothing_else() -> None:
    pool, program = make_pool(TASK, 240, 0), program_of("copy-and-count")
    trace = program.trace_batch(pool.inputs())
    follows = {
        "copies_in_list": {"copies_in_list", "stay", "answer"},
        "copies_out": {"copies_out", "stay", "answer"},
        "larger": {"larger", "answer"},
    }
    for variable, touched in follows.items():
        pairs = pair_up(program, variable, pool, 30, 0, "alike")
        same = torch.stack(
            [trace[n][pairs.base] == trace[n][pairs.source] for n in {*program.names} - touched]
        )
        assert len(pairs) == 30
        assert same.all(0).float().mean() > 0.9


@pytest.mark.parametrize("max_len", [3, 4, 10])
def test_a_pool_is_of_groups_of_lists_that_are_equally_long(max_len: int) -> None:
    pool = make_pool(SortTask(max_len, 4), 5 * GROUP + 1, 3)
    assert len(pool) == 5 * GROUP + 1
    for start in range(0, 5 * GROUP, GROUP):
        lists = pool.lists[start : start + GROUP]
        assert len({len(values) for values in lists}) == 1 and 2 <= len(set(lists)) <= 3
    for values, prefix in pool:
        assert 0 < len(prefix) < max_len and prefix[-1] < max(values)


@pytest.mark.parametrize("family", ["alike", "any", "control"])
def test_where_no_prompt_can_be_used_there_are_no_pairs(family: Sources) -> None:
    pool, program = make_pool(TASK, 30, 0), program_of("copy-and-count")
    none = torch.zeros(len(pool), dtype=torch.bool)
    for variable in program.names:
        assert len(pair_up(program, variable, pool, 5, 0, family, none)) == 0


def test_a_smallest_set_of_two_is_found_and_no_smaller_one() -> None:
    """Head 1.2 of *slots* is halved: one half moves into the output of a head that did nothing."""
    model = compile_sorter("slots", TASK).model
    attn = model.blocks[1].attn
    with torch.no_grad():
        for weight in (attn.W_Q, attn.W_K, attn.W_V, attn.b_Q, attn.b_K, attn.b_V):
            weight[1] = weight[2]
        attn.W_O[2] *= 0.5
        attn.W_O[1] = attn.W_O[2]
    result = compute(model, FEW)
    found = {(s.variable, s.family): s for s in result.sets}["answer", "any"]
    assert found.reached and found.parts == ("head 1.1", "head 1.2")


def test_the_whole_stream_as_a_subspace_is_the_exchange_itself() -> None:
    model = small_model("pre", 2, TASK)
    pool = make_pool(TASK, 24, 0)
    rows = record(model, pool)
    base, source = rows.pick(torch.arange(6)), rows.pick(torch.arange(6, 12))
    place: Place = (Component.RESID_POST, 1)
    everything = exchanged_in(model, base, source, place, random_subspace(16, 16, 0))
    torch.testing.assert_close(everything, source.logits, atol=1e-4, rtol=1e-4)
    nothing = exchanged_in(model, base, source, place, torch.zeros(16, 1))
    torch.testing.assert_close(nothing, base.logits)


@pytest.mark.slow
def test_a_subspace_is_found_where_the_answer_is_and_controls_find_none() -> None:
    """Ten answers as ten unit vectors span nine directions about their mean: one, two or four of
    them cannot hold the answer, eight nearly can."""
    model, program = compile_sorter("histogram", SortTask(6, 7)).model, program_of("histogram")
    pool = make_pool(model.task, 360, 0)
    rows, usable = record(model, pool), torch.ones(len(pool), dtype=torch.bool)
    pairs = halves(program, "answer", pool, usable, 96, 0)
    last = Subspace("answer", Component.RESID_POST, 1, 8, FOUND, wilson(0, 1))
    found = {k: searched(model, rows, pairs, replace(last, k=k), 0).value for k in (1, 2, 4, 8)}
    assert found[1] < 0.2 < found[4] < 0.7 < found[8]
    assert drawn(model, rows, pairs[1], last).value < 0.2
    twin = SortTransformer(model.config, seed=1).eval()
    assert searched(twin, record(twin, pool), pairs, last, 0).value < 0.4
    foreign = halves(program_of("copy-and-count"), "copies_out", pool, usable, 96, 0)
    assert searched(model, rows, foreign, last, 0).value < 0.4


def test_directions_are_judged_on_lists_that_they_were_not_found_on() -> None:
    pool = make_pool(TASK, 180, 0)
    found, held = halves(
        program_of("rank"), "position", pool, torch.ones(len(pool), dtype=torch.bool), 30, 0
    )
    used, judged = (
        {pool.lists[n] for n in torch.cat([pairs.base, pairs.source]).tolist()}
        for pairs in (found, held)
    )
    assert used and judged and not used & judged
    assert len(found) > 2 * len(held)


def test_an_untrained_model_agrees_with_no_program_and_says_so() -> None:
    result = compute(small_model(task=SortTask(8, 4)), FEW)
    assert result.agreement.value < 0.5
    assert summary(result) and to_json(result)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--program", "bogo"], "no program 'bogo': there are copy-and-count"),
        (["--bar", "0"], "--bar must be above 0 and at most 1, not 0.0"),
        (["--directions", "0"], "--directions must be at least 1, not 0"),
    ],
)
def test_bad_input(
    flags: list[str],
    words: str,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    argv = [*flags, "--model", "compiled:slots", "--prompts", "40", "--out", str(tmp_path)]
    assert status(EXPERIMENT, argv) == 2
    assert words in capsys.readouterr().err
