"""Routes whose share is known: planted ones, impossible ones, and all of them together."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import torch

from analyses.experiment.minimal_pairs import PLACES, choose_pairs, place_masks
from analyses.patch_blanks import PatchConfig
from analyses.patch_blanks import compute as patch
from analyses.path_blanks import EXPERIMENT, PathConfig, compute
from analyses.path_blanks.body import figure, summary, to_json, verdicts
from analyses.path_blanks.result import IMPOSSIBLE, MEDIATED, ROUTES, PathResult
from interp.checkpoints import save_model, shipped_models
from interp.interventions import Patch, Transplant, edits_of
from interp.methods.pair_runs import pair_runs
from interp.methods.paths import Where, record_run
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.sites import Component, Site
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS
from interp.support.progress import Progress
from interp.task import SortTask
from tests.covers import crossed
from tests.models import TASK, small_model

SMALL = SortTask(6, 8)
FEW = PathConfig(pairs=6)


def effects(result: PathResult, route: str, direction: int = 0) -> torch.Tensor:
    return result.by_route[direction, :, list(ROUTES).index(route)]


def path(result: PathResult, writer: str, reader: str, direction: int = 0) -> torch.Tensor:
    i, j = result.writers.index(writer), result.readers.index(reader)
    return result.by_path[direction, :, i, j]


def assert_all(values: torch.Tensor, share: float) -> None:
    torch.testing.assert_close(values, torch.full_like(values, share), atol=2e-3, rtol=0)


# -- what is known to be true --------------------------------------------------------------------


@pytest.mark.parametrize("name", SORTERS)
def test_the_truth_about_compiled_sorters(name: str) -> None:
    sorter = compile_sorter(name, SMALL)
    result = compute(sorter.model, FEW)
    assert verdicts(result) == {"mediated": sorter.truth.mediated, "impossible_is_zero": True}
    for direction in range(2):  # necessary and sufficient, in every single pair
        assert_all(effects(result, MEDIATED, direction), sorter.truth.mediated)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("slots", {"blanks": 1, "last blank": 0, "digits": 0, "answer row": 0}),
        ("histogram", {"blanks": 7 / 8, "last blank": 1 / 8, "digits": 0, "answer row": 0}),
        ("direct", {"blanks": 0, "last blank": 0, "digits": 0, "answer row": 1}),
        ("sink", {"blanks": 0, "last blank": 0, "digits": 1, "answer row": 0}),
        ("successor", {"blanks": 0, "last blank": 0, "digits": 0, "answer row": 1}),
    ],
)
def test_each_route_of_a_compiled_sorter(name: str, shares: dict[str, float]) -> None:
    """``histogram`` averages over its eight blanks, of which the last is one."""
    result = compute(compile_sorter(name, SMALL).model, FEW)
    for route, share in (shares | {"SEP": 0, "earlier outputs": 0}).items():
        values = effects(result, route)
        assert_all(values[~values.isnan()], share)


@pytest.mark.parametrize(
    ("name", "writer", "reader"),
    [("slots", "MLP 0", "head 1.2"), ("histogram", "head 0.2", "head 1.0")],
)
def test_the_planted_writer_and_reader_are_found(name: str, writer: str, reader: str) -> None:
    result = compute(compile_sorter(name, SMALL).model, FEW)
    whole = 1.0 if name == "slots" else 7 / 8
    for w in result.writers:
        if w.startswith("heads"):
            continue
        for r in result.readers:
            planted = w in (writer, "all") and r in (reader, "all values", "all")
            assert_all(path(result, w, r), whole if planted else 0.0)


# -- what must be ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_impossible_routes_are_exactly_zero_though_the_runs_differ(
    norm: str, n_layers: int
) -> None:
    result = compute(small_model(norm, n_layers), FEW)
    assert (result.impossible == 0).all()
    written, own = result.altered
    assert written > 0.01 and own == 0  # the same token has the same embedding, keys and values


def test_an_impossible_route_that_carries_something_is_cried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = {name: [Site(Component.RESID_PRE, 0)] for name in IMPOSSIBLE}
    monkeypatch.setattr(EXPERIMENT.body, "impossible_sites", lambda model: wrong)
    result = compute(compile_sorter("slots", SMALL).model, FEW)
    assert not verdicts(result)["impossible_is_zero"]
    assert "AN IMPOSSIBLE ROUTE CARRIES SOMETHING" in summary(result)[-1]


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_the_blanks_route_is_patching_the_stream_at_the_blanks(norm: str) -> None:
    """With two layers nothing but keys and values of layer 1 reads the blanks' stream."""
    model = small_model(norm)
    result, swept = compute(model, FEW), patch(model, PatchConfig(pairs=6))
    site = swept.sites.index(Site(Component.RESID_PRE, 1))
    for route in ("blanks", "last blank", "SEP", "answer row"):
        for direction in range(2):
            expected = swept.by_place[direction, :, site, PLACES.index(route)]
            ours = effects(result, route, direction)
            torch.testing.assert_close(ours, expected, atol=1e-3, rtol=1e-3, equal_nan=True)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_all_that_is_written_at_the_blanks_to_all_that_is_read_is_the_route(norm: str) -> None:
    result = compute(small_model(norm), FEW)
    for direction in range(2):
        expected = effects(result, "blanks", direction)
        ours = path(result, "all", "all", direction)
        torch.testing.assert_close(ours, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("n_layers", [2, 3])
def test_all_routes_together_are_the_whole_effect(n_layers: int) -> None:
    """Every place is in a route: nothing else leads from the list to the answer."""
    model = small_model("pre", n_layers)
    pairs = choose_pairs(TASK, FEW, 0)
    view = Window(TASK, pairs.length, TASK.first_output_row)
    runs = pair_runs(model, pairs, "denoising", partial(record_run, model, view=view))
    base, donor = runs.base, runs.donor
    named = sorted({PLACES.index(place) for passes in ROUTES.values() for place in passes})
    chosen = place_masks(pairs)[:, named].any(1)
    window, later = range(view.start, view.stop), tuple(range(1, n_layers))
    row = place_masks(pairs)[:, PLACES.index("answer row")]
    everything = [
        Where(Transplant(donor, window, later), chosen),
        Where(Patch(Site(Component.RESID_PRE, 1), donor), row),
    ]
    run = forward(model, runs.tokens, view, edits_of(model, everything), base=base)
    assert_all(runs.share(runs.at_rows(run.logits)), 1.0)


def test_one_layer_has_no_route_through_the_blanks() -> None:
    result = compute(small_model("pre", n_layers=1), PathConfig(pairs=24))
    assert not result.writers and (effects(result, MEDIATED) == 0).all()
    assert_all(effects(result, "answer row"), 1.0)
    if result.understood.any():
        assert any("no route leads through the blanks" in line for line in summary(result))


def test_in_three_layers_writers_do_not_come_after_their_readers() -> None:
    result = compute(small_model("pre", n_layers=3), FEW)
    assert path(result, "MLP 1", "head 1.0").isnan().all()
    assert not path(result, "MLP 1", "head 2.0").isnan().any()
    assert not path(result, "MLP 0", "head 2.0").isnan().any()


def test_the_same_seed_gives_the_same_bits() -> None:
    model = small_model("pre")
    first, second = (compute(model, FEW, seed=5) for _ in range(2))
    assert torch.equal(first.by_path, second.by_path)
    assert to_json(first) == to_json(second) != to_json(compute(model, FEW, seed=6))


# -- words, figure, command ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_len", "sizes"), crossed([1, 2, 5], list(product((1, 2), (1, 2))), every=2)
)
def test_any_model_with_blanks(max_len: int, sizes: tuple[int, int]) -> None:
    n_blanks, n_layers = sizes
    result = compute(
        small_model("pre", n_layers, SortTask(max_len, n_blanks)), PathConfig(pairs=12)
    )
    assert summary(result)[0].startswith("12 pairs")
    json.dumps(to_json(result), allow_nan=False)
    json.dumps(verdicts(result))
    assert bool(figure(result).data) == bool(result.understood.any())


def test_words_of_a_known_finding() -> None:
    lines = summary(compute(compile_sorter("slots", SMALL).model, FEW))
    assert lines[-1] == (
        "Through the blanks passes 100.0 % [100.0, 100.0] of the effect (denoising; "
        "noising 100.0 % [100.0, 100.0]; n = 6); 0.0 % [0.0, 0.0] by the answer row reading the "
        "list in layer 0; both impossible routes carry exactly nothing."
    )
    assert "MLP 0 to head 1.2 100.0 % [100.0, 100.0]." in lines[2]


class Counting(Progress):
    def __init__(self) -> None:
        self.total = self.done = 0

    def begin(self, total: int, words: str) -> None:
        self.total += total

    def step(self, done: int = 1) -> None:
        self.done += done


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_all_steps_of_progress_are_announced(n_layers: int) -> None:
    progress = Counting()
    compute(small_model("pre", n_layers), FEW, progress=progress)
    assert progress.done == progress.total > 0


def test_command_prints_what_compute_returns(
    status: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small_model("pre")
    save_model(tmp_path / "model", model)
    flags = ["--model", str(tmp_path / "model"), "--out", str(tmp_path), "--pairs", "3", "--json"]
    assert status(EXPERIMENT, flags) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = json.loads(json.dumps(to_json(compute(model, PathConfig(pairs=3)))))
    assert expected.items() <= printed.items()
    (folder,) = (tmp_path / "path_blanks").iterdir()
    assert (folder / "figure.html").is_file()


def test_a_model_without_blanks_is_refused(
    status: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "model", small_model("pre", task=SortTask(4, 0)))
    assert status(EXPERIMENT, ["--model", str(tmp_path / "model")]) == 2
    assert "has no blanks" in capsys.readouterr().err


@pytest.mark.skipif("blanks" not in shipped_models(), reason="no shipped weights yet")
def test_on_the_shipped_model_impossible_routes_are_zero() -> None:
    from interp.checkpoints import load_model

    result = compute(load_model("blanks").model, PathConfig(pairs=8), seed=1)
    assert result.understood.all() and result.impossible_is_zero
    assert result.altered[0] > 0.1
