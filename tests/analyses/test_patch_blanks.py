"""The first analysis: effects of known size, words, figure, JSON, and its command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses.experiment.minimal_pairs import EVERYWHERE, HEAD_PLACES, PLACES
from analyses.patch_blanks import EXPERIMENT, PatchConfig, compute
from analyses.patch_blanks.body import figure, patch_pairs, summary, to_json, verdicts
from analyses.patch_blanks.result import PatchResult
from interp.answers.pairs import make_pairs, sample_pairs
from interp.checkpoints import save_model, shipped_models
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.sites import Component, Site
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.support.progress import Progress
from interp.task import SortTask
from tests.covers import crossed
from tests.models import small_model

TASK = SortTask(max_len=6, n_blanks=4)
SIZES: Any = {"d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 24}


@pytest.fixture(scope="module")
def model() -> SortTransformer:
    return SortTransformer(ModelConfig(task=TASK, **SIZES), seed=0)


@pytest.fixture(scope="module")
def result(model: SortTransformer) -> PatchResult:
    return patch_pairs(model, sample_pairs(TASK, 6, 5, seed=0))


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
    result = patch_pairs(model, make_pairs(TASK, [[3, 1]], [[3, 2]]))
    for place in ("earlier outputs", "last blank"):
        assert effect(result, 0, Site(Component.RESID_PRE, 0), place).isnan().all()


def test_json_and_words(result: PatchResult) -> None:
    data = json.loads(json.dumps(to_json(result), allow_nan=False))
    assert data["pairs"] == 6 and len(data["lists"]) == 6
    assert len(data["by_position"]["labels"]) == len(result.positions)
    n = int(result.understood.sum())
    assert summary(result)[0] == (
        "6 pairs of lists of 5 digits that differ in one; "
        f"the model gets both answers of {n} right, which are averaged."
    )


def test_only_understood_pairs_are_averaged(result: PatchResult) -> None:
    kept = result.understood
    estimate = result.place_estimate(0, 3, PLACES.index("blanks"))
    if not kept.any():
        assert estimate is None
        return
    assert estimate is not None and estimate.n == int(kept.sum())
    values = result.by_place[0, kept, 3, PLACES.index("blanks")]
    assert estimate.value == pytest.approx(float(values.mean()), abs=1e-6)


class Counting(Progress):
    def __init__(self) -> None:
        self.total = self.done = 0

    def begin(self, total: int, words: str) -> None:
        self.total += total

    def step(self, done: int = 1) -> None:
        self.done += done


def test_all_steps_of_progress_are_announced(model: SortTransformer) -> None:
    progress = Counting()
    compute(model, PatchConfig(pairs=3, length=5), progress=progress)
    assert progress.done == progress.total > 0


def test_compute_is_sampling_and_patching(model: SortTransformer, result: PatchResult) -> None:
    """From the command line and from Python: the same numbers, bit for bit."""
    again = compute(model, PatchConfig(pairs=6, length=5), seed=0)
    assert torch.equal(again.by_position, result.by_position)
    assert to_json(again) == to_json(result)


def test_ones_own_pair(model: SortTransformer) -> None:
    own = compute(model, PatchConfig(list="3,1", corrupt="3 2"))
    assert own.pairs.task.decode_list(own.pairs.clean[0]) == (3, 1) and len(own.pairs) == 1


# -- heads ---------------------------------------------------------------------------------------


def head_effect(result: PatchResult, site: Site, place: str) -> torch.Tensor:
    return result.by_head[0, :, result.heads.index(site), HEAD_PLACES.index(place)]


def test_the_only_head_of_a_layer_is_what_the_layer_adds() -> None:
    config = ModelConfig(task=TASK, d_model=16, n_heads=1, d_head=16, d_mlp=24)
    result = compute(SortTransformer(config, seed=0), PatchConfig(pairs=4, length=5))
    for layer in range(2):
        for place in ("changed digit", "blanks", "answer row"):
            torch.testing.assert_close(
                head_effect(result, Site(Component.Z, layer, (0,)), place),
                effect(result, 0, Site(Component.ATTN_OUT, layer), place),
                atol=1e-4,
                rtol=1e-3,
            )


def test_in_the_last_layer_only_the_answer_row_asks_and_writes(result: PatchResult) -> None:
    for head in range(2):
        for component in (Component.Q, Component.Z):
            site = Site(component, 1, (head,))
            for place in set(PLACES) - {"answer row"}:
                assert (head_effect(result, site, place).nan_to_num(0.0) == 0).all()
            whole = head_effect(result, site, EVERYWHERE)
            assert torch.equal(whole, head_effect(result, site, "answer row"))
            assert (whole != 0).all()


# -- what is known to be true --------------------------------------------------------------------


@pytest.mark.parametrize("name", SORTERS)
def test_the_truth_about_compiled_sorters(name: str) -> None:
    sorter = compile_sorter(name, SortTask(6, 8))
    result = compute(sorter.model, PatchConfig(pairs=6))
    assert result.understood.all()
    assert verdicts(result) == {
        "heads": sorted(list(head) for head in sorter.truth.heads),
        "blanks_content": sorter.truth.blanks_content,
        "digits_content": sorter.truth.digits_content,
    }
    for layer, head in sorter.truth.decoy_heads:  # they write nothing, to the last bit or nearly
        assert head_effect(result, Site(Component.Z, layer, (head,)), EVERYWHERE).abs().max() < 1e-4


def test_a_compiled_sorters_effect_is_where_it_was_planted() -> None:
    """``slots``: the counting head writes at the blanks, the copying head at the answer row."""
    result = compute(compile_sorter("slots", SortTask(6, 8)).model, PatchConfig(pairs=6))
    carried = {
        (0, 1, "blanks"): 1.0,
        (0, 1, "answer row"): 0.0,
        (1, 2, "answer row"): 1.0,
        (1, 2, "blanks"): 0.0,
    }
    for (layer, head, place), share in carried.items():
        found = head_effect(result, Site(Component.Z, layer, (head,)), place)
        torch.testing.assert_close(found, torch.full((6,), share), atol=2e-3, rtol=0)
    values = head_effect(result, Site(Component.V, 1, (2,)), "blanks")
    torch.testing.assert_close(values, torch.ones(6), atol=2e-3, rtol=0)


# -- words, figure, command ----------------------------------------------------------------------


NORMS_AND_LAYERS = list(product(("pre", "post", "none"), (1, 2)))


@pytest.mark.parametrize(("max_len", "sizes"), crossed([1, 2, 3], NORMS_AND_LAYERS, every=3))
def test_any_model_can_be_patched(max_len: int, sizes: tuple[str, int]) -> None:
    model = small_model(*sizes, SortTask(max_len, 1))
    result = compute(model, PatchConfig(pairs=8))
    assert result.pairs.length == max_len  # shortened to what there is
    assert len(summary(result)) >= 2 and figure(result) is not None
    json.dumps(to_json(result), allow_nan=False)
    assert set(verdicts(result)) == {"heads", "blanks_content", "digits_content"}


@pytest.mark.parametrize("n_blanks", [0, 1, 4])
def test_figure_and_words_with_any_number_of_blanks(n_blanks: int) -> None:
    task = SortTask(6, n_blanks)
    model = SortTransformer(ModelConfig(task=task, **SIZES), seed=0)
    result = compute(model, PatchConfig(pairs=12, length=5))
    # An untrained model happens to get some pairs right, or none: both can be drawn and told.
    assert bool(figure(result).data) == bool(result.understood.any())
    assert summary(result)[0].startswith("12 pairs")


@pytest.fixture
def run(status: Callable[..., int]) -> Callable[[list[str]], int]:
    return partial(status, EXPERIMENT)


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
    (folder,) = (out / "patch_blanks").iterdir()
    assert json.loads((folder / "result.json").read_text()) == printed
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model"]["hash"] == printed["model_hash"]
    html = (folder / "figure.html").read_text()
    assert "Plotly.newPlot" in html and "<script src=" not in html  # opens offline
    assert run(common) == 0  # the same seed: the same numbers
    assert json.loads(capsys.readouterr().out) == printed
    assert run([*common, "--list", "3,1,4", "--corrupt", "3,1,5"]) == 0
    # A model in a folder is told apart by its hash from others of that name.
    assert (folder.parent / f"{folder.name}-3,1,4-to-3,1,5" / "figure.html").is_file()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--list", "3,12,5", "--corrupt", "3,1,5"], "'12' is not a digit"),
        (["--list", "3,x,5", "--corrupt", "3,1,5"], "'3,x,5' is neither a list like"),
        (["--list", "3,1"], "go together"),
        (["--list", "3,1", "--corrupt", "1,3"], "same answer"),
        (["--list", "3,1", "--corrupt", "1"], "same length"),
        (["--pairs", "0"], "--pairs must be at least 1"),
        (["--length", "1"], "--length must be at least 2"),
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
    result = compute(model, PatchConfig(pairs=8), seed=1)
    assert result.understood.all()
    last = result.sites.index(Site(Component.MLP_OUT, 1))
    estimate = result.place_estimate(0, last, PLACES.index("answer row"))
    assert estimate is not None and estimate.value > 0.3
