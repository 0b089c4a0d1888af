"""The first analysis: effects of known size, words, figure, JSON, and its command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from analyses import patch_blanks
from analyses.patch_blanks import (
    PLACES,
    PatchConfig,
    PatchResult,
    compute,
    figure,
    summary,
    to_json,
)
from interp.checkpoints import save_model, shipped_models
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.pairs import make_pairs, sample_pairs
from interp.sites import Component, Site
from interp.task import SortTask

TASK = SortTask(max_len=6, n_blanks=4)
SIZES = {"d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 24}


@pytest.fixture(scope="module")
def model() -> SortTransformer:
    return SortTransformer(ModelConfig(task=TASK, **SIZES), seed=0)


@pytest.fixture(scope="module")
def result(model: SortTransformer) -> PatchResult:
    return compute(model, sample_pairs(TASK, 6, 5, seed=0))


def effect(result: PatchResult, direction: int, site: Site, place: str) -> torch.Tensor:
    return result.by_place[direction, :, result.sites.index(site), PLACES.index(place)]


def test_the_changed_digit_before_everything_is_the_whole_effect(result: PatchResult) -> None:
    for direction in range(2):
        whole = effect(result, direction, Site(Component.RESID_PRE, 0), "changed digit")
        torch.testing.assert_close(whole, torch.ones(6), atol=1e-3, rtol=0)


def test_places_that_do_not_differ_yet_carry_exactly_nothing(result: PatchResult) -> None:
    for place in ("other digits", "SEP", "blanks", "last blank", "answer row"):
        assert (effect(result, 0, Site(Component.RESID_PRE, 0), place) == 0).all()


def test_in_the_last_layer_only_the_answer_row_can_write(result: PatchResult) -> None:
    for component in (Component.ATTN_OUT, Component.MLP_OUT):
        for place in set(PLACES) - {"answer row"}:
            values = effect(result, 1, Site(component, 1), place)
            assert (values[~values.isnan()] == 0).all()


def test_a_place_is_its_positions(result: PatchResult) -> None:
    """``last blank`` is one position, so both tables must say the same of it."""
    position = result.positions.index(TASK.first_output_row)
    site = result.sites.index(Site(Component.RESID_PRE, 1))
    torch.testing.assert_close(
        result.by_position[:, :, site, position],
        result.by_place[:, :, site, PLACES.index("last blank")],
    )


def test_places_that_a_pair_lacks_are_absent(model: SortTransformer) -> None:
    """Read at the first output there is no earlier one, and the last blank is the answer row."""
    result = compute(model, make_pairs(TASK, [[3, 1]], [[3, 2]]))
    for place in ("earlier outputs", "last blank"):
        assert effect(result, 0, Site(Component.RESID_PRE, 0), place).isnan().all()


def test_json_and_words(result: PatchResult) -> None:
    data = json.loads(json.dumps(to_json(result, "abc"), allow_nan=False))
    assert data["pairs"] == 6 and data["model_hash"] == "abc" and len(data["lists"]) == 6
    assert len(data["by_position"]["labels"]) == len(result.positions)
    assert data["finding"] == summary(result)


def test_only_understood_pairs_are_averaged(result: PatchResult) -> None:
    kept = result.understood
    estimate = result.place_estimate(0, 3, PLACES.index("blanks"))
    if not kept.any():
        assert estimate is None
        return
    assert estimate is not None and estimate.n == int(kept.sum())
    values = result.by_place[0, kept, 3, PLACES.index("blanks")]
    assert estimate.value == pytest.approx(float(values.mean()), abs=1e-6)


def test_sixty_progress_steps_are_announced(model: SortTransformer) -> None:
    pairs = sample_pairs(TASK, 3, 5, seed=0)
    done: list[int] = []
    compute(model, pairs, progress=done.append)
    assert sum(done) == patch_blanks.n_patches(pairs, model)


@pytest.mark.parametrize("n_blanks", [0, 1, 4])
def test_figure_and_words_with_any_number_of_blanks(n_blanks: int) -> None:
    task = SortTask(6, n_blanks)
    model = SortTransformer(ModelConfig(task=task, **SIZES), seed=0)
    result = compute(model, sample_pairs(task, 12, 5, seed=0))
    # An untrained model happens to get some pairs right, or none: both can be drawn and told.
    assert bool(figure(result).data) == bool(result.understood.any())
    assert summary(result)[0].startswith("12 pairs")


@pytest.fixture
def run(status: Callable[..., int]) -> Callable[[list[str]], int]:
    return partial(status, patch_blanks.main)


@pytest.fixture
def checkpoint(tmp_path: Path, model: SortTransformer) -> str:
    save_model(tmp_path / "model", model)
    return str(tmp_path / "model")


def test_command_writes_figure_result_and_manifest(
    run: Callable[[list[str]], int],
    tmp_path: Path,
    checkpoint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "results"
    common = ["--model", checkpoint, "--out", str(out), "--pairs", "3", "--length", "4", "--json"]
    assert run(common) == 0
    printed = json.loads(capsys.readouterr().out)
    folder = out / "patch_blanks" / "model"
    assert json.loads((folder / "result.json").read_text()) == printed
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model"]["hash"] == printed["model_hash"]
    html = (folder / "figure.html").read_text()
    assert "Plotly.newPlot" in html and "<script src=" not in html  # opens offline
    assert run(common) == 0  # the same seed: the same numbers
    assert json.loads(capsys.readouterr().out) == printed


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--list", "3,x,5", "--corrupt", "3,1,5"], "'x' is not a digit"),
        (["--list", "3,1"], "go together"),
        (["--list", "3,1", "--corrupt", "1,3"], "same sorted answer"),
        (["--list", "3,1", "--corrupt", "1"], "same length"),
        (["--pairs", "0"], "--pairs must be at least 1"),
        (["--length", "7"], "from 2 to 6"),
        (["--model", "nonesuch"], "no model 'nonesuch'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    run: Callable[[list[str]], int],
    checkpoint: str,
    flags: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--model", checkpoint, *flags]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


@pytest.mark.skipif("blanks" not in shipped_models(), reason="no shipped weights yet")
def test_on_the_shipped_model_the_effect_ends_in_the_answer_row() -> None:
    from interp.checkpoints import load_model

    model = load_model("blanks").model
    result = compute(model, sample_pairs(model.task, 8, PatchConfig().length, seed=1))
    assert result.understood.all()
    last = result.sites.index(Site(Component.MLP_OUT, 1))
    estimate = result.place_estimate(0, last, PLACES.index("answer row"))
    assert estimate is not None and estimate.value > 0.3
