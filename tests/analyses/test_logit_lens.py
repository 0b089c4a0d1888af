"""The analysis of the logit lens: verdicts on sorters whose algorithm is known, words, command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analyses.logit_lens import EXPERIMENT, LensConfig, compute
from analyses.logit_lens.body import expected, figure, summary, to_json, verdicts
from analyses.logit_lens.result import LensResult
from interp.checkpoints import save_model
from interp.methods import lens
from interp.methods.lens import CANDIDATES
from interp.sorters.compiled import SORTERS, compile_sorter
from interp.task import SortTask
from tests.models import TASK, small_model

SMALL = SortTask(5, 6)
FEW = LensConfig(lists=30)


@pytest.fixture(scope="module")
def found() -> dict[str, LensResult]:
    return {name: compute(compile_sorter(name, SMALL).model, FEW) for name in SORTERS}


@pytest.mark.parametrize("name", SORTERS)
def test_the_answer_appears_where_it_is_written(name: str, found: dict[str, LensResult]) -> None:
    said, true = verdicts(found[name]), expected(compile_sorter(name, SMALL).truth)
    assert said["answer_written_by"] == true["answer_written_by"]
    assert said["answer_written_by"] == {
        "slots": "after attention 1",
        "histogram": "after MLP 1",
        "direct": "after MLP 0",
        "sink": "after MLP 1",
        "successor": "after MLP 1",
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", SORTERS)
def test_what_blanks_hold_is_not_seen_and_not_denied(
    name: str, found: dict[str, LensResult]
) -> None:
    """Three of the five hold sorted[j] at blank j, where the lens sees nothing: it cannot tell."""
    assert expected(compile_sorter(name, SMALL).truth)["sorted_at_blanks"] is (
        name in ("slots", "histogram", "direct")
    )
    assert verdicts(found[name])["sorted_at_blanks"] is None
    told = found[name].told(found[name].last_read)
    assert told and (told.value, told.low, told.high) == (0.5, 0.5, 0.5)
    assert "nothing of sorted[j]" in summary(found[name])[-1]


def test_a_blank_that_shows_its_digit_is_seen() -> None:
    """The positive control: ``slots`` with an unembedding that reads where the blanks write."""
    model = compile_sorter("slots", SMALL).model
    attn = model.blocks[1].attn
    with torch.no_grad():
        model.unembed.W_U += attn.W_V[2] @ attn.W_O[2] @ model.unembed.W_U
    result = compute(model, FEW)
    assert result.depths[result.last_read] == "after MLP 0"
    assert verdicts(result)["sorted_at_blanks"] is True
    told = result.told(2)
    assert told and told.value == 1.0
    assert result.told(1).value == 0.5  # type: ignore[union-attr]
    there = ~result.share[:, 2].isnan()
    assert (result.share[:, 2][there] > 0.99).all()
    assert "shows the last layer its list's sorted[j]" in summary(result)[-1]


def test_numbers_of_a_known_model(found: dict[str, LensResult]) -> None:
    """``direct`` after layer 0: logit 12 for the digit, 0 for the others, 6 for BLANK."""
    result = found["direct"]
    counted = torch.arange(5) < result.lengths[:, None]
    assert torch.equal(~result.right[:, 2].isnan(), counted)
    e = 2.718281828
    wanted = e**12 / (e**12 + 10 + e**6)
    torch.testing.assert_close(
        result.right[:, 2][counted], torch.full((int(counted.sum()),), wanted), atol=1e-3, rtol=0
    )
    assert result.answered(1).value == 0.0
    assert result.answered(2).value == 1.0
    blank = result.rank[:, :, CANDIDATES.index("blank")]
    assert (blank[~blank.isnan()] == 1).all()
    digit = result.rank[:, -1, CANDIDATES.index("sorted")]
    assert (digit[~digit.isnan()] == 7).all()  # the mean of ranks 2 to 12: all level at 0
    torch.testing.assert_close(
        result.rank[:, :, 0], result.rank[:, :, 1], equal_nan=True
    )  # it emits sorted[j] at row j


def test_the_embedding_knows_no_list_whatever_the_model() -> None:
    """Blanks are the same token in every list, so the forced choice is exactly chance there."""
    result = compute(small_model("pre"), FEW)
    told = result.told(0)
    assert told and told.value == told.low == told.high == 0.5
    assert (result.preferred[:, 1] != 0.5).any()
    assert verdicts(result)["answer_written_by"] is None  # untrained
    assert "hardly sorts" in summary(result)[-1]


@pytest.mark.parametrize(
    ("norm", "n_layers", "task"),
    [
        ("post", 1, SortTask(1, 1)),
        ("pre", 3, SortTask(3, 0)),
        ("none", 2, SortTask(4, 2)),
        ("pre", 2, SortTask(2, 7, pos_offset=3)),
    ],
)
def test_any_model_will_do(norm: str, n_layers: int, task: SortTask) -> None:
    result = compute(small_model(norm, n_layers, task), LensConfig(lists=5))
    data = to_json(result)
    json.dumps(data, allow_nan=False)
    assert len(data["depths"]) == 1 + 2 * n_layers
    assert summary(result)
    figure(result).to_json()


def test_the_same_seed_gives_the_same_bits() -> None:
    model = small_model("pre")
    first, again, other = (compute(model, FEW, seed) for seed in (0, 0, 1))
    assert to_json(first) == to_json(again)
    assert torch.equal(first.probability.nan_to_num(), again.probability.nan_to_num())
    assert to_json(first) != to_json(other)


def test_the_names_that_import_no_torch_are_those_of_the_library() -> None:
    assert CANDIDATES == lens.CANDIDATES
    code = "import sys, analyses.logit_lens, analyses.attribution; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_the_command_writes_its_finding(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    status: Callable[[Callable[..., None], list[str]], int],
) -> None:
    save_model(tmp_path / "model", small_model("pre", task=TASK))
    common = ["--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    assert status(EXPERIMENT, [*common, "--lists", "6", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["lists"] == 6
    assert data["verdicts"] == {"answer_written_by": None, "sorted_at_blanks": None}
    (folder,) = (tmp_path / "out" / "logit_lens").iterdir()
    assert json.loads((folder / "result.json").read_text()) == data
    assert "Plotly.newPlot" in (folder / "figure.html").read_text()
    assert status(EXPERIMENT, [*common, "--lists", "0"]) == 2
    assert "--lists must be at least 1" in capsys.readouterr().err
