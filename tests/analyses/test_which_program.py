"""The analysis names the program of every compiled sorter, and none where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analyses.which_program import EXPERIMENT, WhichProgramConfig, body, compute
from analyses.which_program.body import CLEAN, summary, to_json, verdicts
from interp.programs.catalogue import PROGRAMS, program_of
from interp.programs.prompts import Prompts, says
from interp.programs.same_function import same_function
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.support.progress import SILENT
from interp.task import SortTask
from interp.transformer import Transformer
from tests.models import small_model

FEW = WhichProgramConfig(prompts=30, lists=24, parted=8, tries=1000, fit=60)


@pytest.mark.parametrize("name", SORTERS)
@pytest.mark.parametrize("max_len", [5, 10])
def test_the_program_of_a_compiled_sorter_wins(name: str, max_len: int) -> None:
    sorter = compile_sorter(name, SortTask(max_len, max_len + 1))
    result = compute(sorter.model, FEW, seed=3)
    assert verdicts(result)["program"] == list(same_function(sorter.truth.program))
    best = result.best[0]
    assert all(result.agreement(best, k).value == 1 for k in range(len(result.kinds)))
    others = [p for p in range(len(PROGRAMS)) if p not in result.best]
    for other in others:
        n, right, wrong = result.parted(best, other)
        assert n >= FEW.parted and right == n and wrong == 0


@pytest.mark.parametrize("fit", [0, 60])
@pytest.mark.parametrize(
    "make", [lambda: compile_sorter("successor", SortTask(8, 9)).model, small_model]
)
def test_verdicts_rest_on_nothing_that_the_scoreboard_leaves_out(
    make: Callable[[], Transformer], fit: int
) -> None:
    model, asked = make(), replace(FEW, fit=fit)
    assert body.quick_verdicts(model, asked, 3) == verdicts(compute(model, asked, seed=3))


def test_what_is_said_to_all_wrong_prefixes_is_what_was_said_to_each_kind() -> None:
    """And to those that are searched, of which the model is asked alone."""
    model = small_model()
    by_edit = body._by_edit(model, FEW, 3)
    told = torch.cat([says(model, prompts) for prompts in by_edit.values()])[:, None]
    known = sum(by_edit.values(), Prompts((), ()))
    together = body.search(model, PROGRAMS, known, FEW, 3)
    assert len(known) == len(told) < len(together)
    said = body._together(model, PROGRAMS, by_edit, told, FEW, 3).said
    assert torch.equal(said[:, 0], says(model, together))


def test_a_program_that_is_not_compared_leaves_none_of_these() -> None:
    model = compile_sorter("successor", SortTask(8, 9)).model
    others = [program_of("rank"), program_of("run-length")]
    result = body.compute(model, replace(FEW, fit=0), 0, SILENT, others)
    assert result.winner == () and verdicts(result) == {"program": []}
    assert summary(result)[-1].startswith("None of these programs reaches 95 %")


def test_a_soft_program_is_fitted_only_if_no_other_will_do_and_on_other_prompts() -> None:
    """*Successor* runs rank with the last digit: without that program, *balance* has a whole vote
    for the other outputs, and is better than what is left; with it nothing is fitted."""
    model = compile_sorter("successor", SortTask(8, 9)).model
    assert compute(model, FEW).fitted is None
    result = body.compute(model, FEW, 0, SILENT, [program_of("rank")])
    assert result.fitted is not None and result.fitted.vote == 1
    assert [result.programs[p].name for p in result.best] == ["rank"]
    assert result.worst(1) > result.worst(0) + 0.2
    assert "fitted numbers" in to_json(result)["programs"]["balance"]


def test_an_untrained_model_runs_none_of_these() -> None:
    result = compute(small_model(task=SortTask(8, 4)), FEW)
    assert result.winner == ()


def test_a_program_is_scored_on_saying_what_the_model_says_mistakes_included() -> None:
    """A model that is wrong on purpose: it says 9 always. No program gets more than its nines."""
    model = small_model(task=SortTask(8, 4))
    with torch.no_grad():
        model.unembed.b_U[9] += 1000
    result = body.compute(model, FEW, 0, SILENT, [program_of("rank")])
    kinds = [kind.name for kind in result.kinds]
    clean = result.kinds[kinds.index(CLEAN)]
    assert clean.said[clean.counted].eq(9).all()
    nines = int((clean.answers[0][clean.counted] == 9).sum())
    assert result.agreement(0, 0).value == pytest.approx(nines / int(clean.counted.sum()))
    assert set(to_json(result)["agreement"]["rank"]) == set(kinds)


def test_what_is_only_shown_is_not_judged() -> None:
    result = compute(compile_sorter("direct", SortTask(6, 7)).model, FEW)
    judged = to_json(result)["judged"]
    shown = [kind.name for kind in result.kinds if kind.name not in judged]
    assert shown == ["one digit", "two digits", "three digits", "a copy first"]


@pytest.mark.parametrize("name", ["direct", "successor"])
def test_a_model_that_reads_counts_says_the_same_in_another_order(name: str) -> None:
    result = compute(compile_sorter(name, SortTask(8, 9)).model, FEW)
    rates = [result.itself(k) for k in range(len(result.kinds))]
    assert [kind.name for kind, rate in zip(result.kinds, rates, strict=True) if rate is None] == [
        *(CLEAN, "one digit", "two digits", "three digits")
    ]
    assert all(rate.value == 1 for rate in rates if rate is not None)


def test_a_model_that_reads_places_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_digit(model: Transformer, prompts: Prompts) -> torch.Tensor:
        return torch.tensor([values[0] for values in prompts.lists])

    monkeypatch.setattr(body, "says", first_digit)
    result = compute(small_model(task=SortTask(8, 4)), FEW)
    shares = [rate.value for k in range(len(result.kinds)) if (rate := result.itself(k))]
    assert min(shares) > 0 and max(shares) < 0.7


def test_another_order_keeps_counts_and_the_last_output() -> None:
    prompts = Prompts(((3, 1, 1, 2), (5,)), ((1, 1, 2), (5,)))
    other = prompts.reordered(random.Random(1))
    assert [sorted(values) for values in other.lists] == [[1, 1, 2, 3], [5]]
    assert [(sorted(prefix), prefix[-1]) for prefix in other.prefixes] == [([1, 1, 2], 2), ([5], 5)]
    assert any(prompts.reordered(random.Random(s)) != prompts for s in range(5))


def test_the_same_seed_gives_the_same_result() -> None:
    model = compile_sorter("direct", SortTask(6, 7)).model
    assert to_json(compute(model, FEW, seed=2)) == to_json(compute(model, FEW, seed=2))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--bar", "1.5"], "--bar must be above 0 and at most 1, not 1.5"),
        (["--prompts", "0"], "--prompts must be at least 1, not 0"),
    ],
)
def test_bad_input(
    flags: list[str],
    words: str,
    status: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert status(EXPERIMENT, [*flags, "--out", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
