"""The analysis of attribution: verdicts on sorters whose algorithm is known, words, command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from analyses.attribution import EXPERIMENT, AttributionConfig, compute
from analyses.attribution.body import (
    direct_result,
    expected,
    figure,
    summary,
    to_json,
    verdicts,
    writers,
)
from analyses.attribution.result import SOURCES, AttributionResult
from interp.checkpoints import save_model
from interp.methods.attribution import Kind, Part, against_other_digits, direct_paths
from interp.passes.packed import window
from interp.sites import Component, Site
from interp.sorters.compiled import SORTERS, compile_sorter
from interp.task import Region, SortTask
from tests.models import TASK, small_model

SMALL = SortTask(8, 9)  # long enough for repeats, which in successor the first MLP writes
FEW = AttributionConfig(lists=64, pairs=8, length=6, steps=8)


@pytest.fixture(scope="module")
def found() -> dict[str, AttributionResult]:
    return {name: compute(compile_sorter(name, SMALL).model, FEW) for name in SORTERS}


@pytest.mark.parametrize("name", SORTERS)
def test_verdicts_are_the_truth(name: str, found: dict[str, AttributionResult]) -> None:
    said = verdicts(found[name])
    assert said == expected(compile_sorter(name, SMALL).truth)
    assert (
        said
        == {
            "slots": {"writers": ["head 1.2"], "blanks_carry": True},
            "histogram": {"writers": ["MLP 1"], "blanks_carry": True},
            "direct": {"writers": ["MLP 0"], "blanks_carry": False},
            "sink": {"writers": ["MLP 1"], "blanks_carry": False},
            "successor": {"writers": ["MLP 0", "MLP 1"], "blanks_carry": False},
        }[name]
    )


@pytest.mark.parametrize("name", SORTERS)
def test_decoys_write_exactly_nothing_and_all_is_shared_out(
    name: str, found: dict[str, AttributionResult]
) -> None:
    direct, truth = found[name].direct, compile_sorter(name, SMALL).truth
    for layer, head in truth.decoy_heads:
        values = direct.values[..., direct.parts.index(Part(Kind.HEAD, layer, head))]
        assert (values.nan_to_num() == 0).all()
    counted = torch.arange(8) < (torch.arange(64) % 8 + 1)[:, None]  # the held-out lengths
    assert torch.equal(~direct.total.isnan(), counted)
    torch.testing.assert_close(direct.total[counted], torch.full((288,), 12.0), atol=0.01, rtol=0)
    assert direct.error < 1e-4
    assert found[name].total().n == 64


def test_a_copying_head_reads_the_blanks(found: dict[str, AttributionResult]) -> None:
    result = found["slots"]
    head = result.direct.heads.index(Part(Kind.HEAD, 1, 2))
    by = {source: result.source(head, s).value for s, source in enumerate(SOURCES)}
    assert by.pop(Region.BLANKS) == pytest.approx(12, abs=0.01)
    assert all(abs(value) < 1e-3 for value in by.values())


def test_each_source_is_the_positions_of_its_region() -> None:
    """Rows of the list 5 0 5 0 5 1: 10 to 15; SEP is position 6, the last of 4 blanks 10."""
    model, batch = small_model("pre", task=TASK), TASK.encode([[5, 0, 5, 0, 5, 1]])
    direct = direct_result(model, batch)
    view = window(TASK, batch, digits_only=True)
    target = against_other_digits(batch.tokens, view)
    by_key = direct_paths(model, batch.tokens, view, target).by_source(1).mean(1)[0]
    spans = [slice(0, 6), slice(6, 7), slice(7, 10), slice(10, 11), slice(11, 16)]
    for head in range(2):
        wanted = [float(by_key[head, span].sum()) for span in spans]
        assert direct.by_source[0, 2 + head].tolist() == pytest.approx(wanted, abs=1e-6)
        assert len({round(value, 4) for value in wanted}) == len(SOURCES)  # all different


def test_carried_by_the_blanks_exactly_and_as_guessed(found: dict[str, AttributionResult]) -> None:
    """In ``histogram`` all nine blanks carry alike, and the last of them is not counted here."""
    shares = {"slots": 1.0, "histogram": 8 / 9, "direct": 0.0, "sink": 0.0, "successor": 0.0}
    for name, wanted in shares.items():
        for method in ("exact", "integrated"):
            for direction in range(2):
                carried = found[name].blanks_carry(method, direction)
                assert carried
                assert carried.value == pytest.approx(wanted, abs=0.01), (name, method)


def test_guesses_agree_with_the_exact_sweep_on_straight_slopes(
    found: dict[str, AttributionResult],
) -> None:
    """``slots`` moves in proportion between any two answers, so the line is straight."""
    for direction in range(2):
        agreed = found["slots"].agreement("integrated", direction)
        assert agreed.rank and agreed.linear and agreed.recovered
        assert agreed.rank.value > 0.95
        assert agreed.linear.value > 0.999
        assert agreed.recovered.value == pytest.approx(1, abs=0.01)
    patching = found["slots"].patching
    site = patching.sites.index(Site(Component.RESID_PRE, 0))
    assert patching.possible[0, :, site].sum(-1).tolist() == [1] * 8
    torch.testing.assert_close(patching.exact[0, :, site].sum(-1), patching.gap[0])


def test_a_model_that_does_not_sort_has_no_writers() -> None:
    result = compute(small_model("pre"), FEW)
    assert not result.patching.understood.all()
    if writers(result.direct, result.seed) is None:
        assert "does not stand out" in summary(result)[-1]
    zero = compile_sorter("direct", SMALL).model
    with torch.no_grad():
        zero.unembed.W_U.zero_()
    result = compute(zero, FEW)
    assert verdicts(result) == {"writers": None, "blanks_carry": None}
    assert summary(result)[-1].startswith("Direct attribution: the sorted digit does not stand out")
    assert result.agreement("gradient", 0).rank is None
    figure(result).to_json()


@pytest.mark.parametrize(
    ("norm", "n_layers", "task"),
    [
        ("post", 1, SortTask(1, 1)),
        ("pre", 3, SortTask(3, 0)),
        ("none", 2, SortTask(4, 2)),
        ("post", 2, SortTask(2, 7, pos_offset=3)),
    ],
)
def test_any_model_will_do(norm: str, n_layers: int, task: SortTask) -> None:
    config = AttributionConfig(lists=5, pairs=3, length=12, steps=2)
    result = compute(small_model(norm, n_layers, task), config)
    assert result.length == task.max_len
    assert result.direct.error < 1e-4
    json.dumps(to_json(result), allow_nan=False)
    assert summary(result)
    figure(result).to_json()


def test_the_same_seed_gives_the_same_bits() -> None:
    model, config = small_model("pre"), AttributionConfig(lists=6, pairs=3, length=4, steps=2)
    first, again, other = (compute(model, config, seed) for seed in (0, 0, 1))
    assert to_json(first) == to_json(again)
    assert torch.equal(first.patching.guessed, again.patching.guessed)
    assert to_json(first) != to_json(other)


def test_the_command_writes_its_finding(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    status: Callable[[Callable[..., None], list[str]], int],
) -> None:
    save_model(tmp_path / "model", small_model("pre", task=TASK))
    common = ["--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--steps", "2"]
    argv = [*common, "--lists", "6", "--pairs", "4", "--length", "4", "--json"]
    assert status(EXPERIMENT, argv) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["lists"], data["pairs"], data["length"]) == (6, 4, 4)
    assert len(data["parts"]) == 13
    assert len(data["agreement"]) == 3 * 2 * (1 + 2 * (3 + 2))
    (folder,) = (tmp_path / "out" / "attribution").iterdir()
    assert json.loads((folder / "result.json").read_text()) == data
    assert "Plotly.newPlot" in (folder / "figure.html").read_text()
    assert status(EXPERIMENT, [*common, "--pairs", "0"]) == 2
    assert "--pairs must be at least 1" in capsys.readouterr().err
