"""The analysis names the program of every compiled sorter, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analyses.which_program import EXPERIMENT, WhichProgramConfig, body, compute
from analyses.which_program.body import CLEAN, summary, to_json, verdicts
from interp.programs.catalogue import PROGRAMS, program_of, same_function
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.support.progress import SILENT
from interp.task import SortTask
from tests.models import small_model

FEW = WhichProgramConfig(prompts=30, lists=24, parted=8, tries=1000)


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


def test_a_program_that_is_not_compared_leaves_none_of_these() -> None:
    model = compile_sorter("successor", SortTask(8, 9)).model
    result = body.compute(model, FEW, 0, SILENT, [program_of("rank"), program_of("run-length")])
    assert result.winner == () and verdicts(result) == {"program": []}
    assert summary(result)[-1].startswith("None of these programs reaches 95 %")


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
