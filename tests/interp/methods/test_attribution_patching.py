"""Gradient guesses: against finite differences, the fundamental theorem, and exact patching."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from interp.answers.pairs import Pairs, sample_pairs
from interp.interventions import Set, edits_of, intervene
from interp.methods.attribution_patching import (
    METHODS,
    attributed_effects,
    exact_effects,
    possible_effects,
)
from interp.methods.pair_runs import DIRECTIONS, Direction, PairRuns, pair_runs
from interp.model import SortTransformer
from interp.passes.forward import forward
from interp.sites import Component, Site, all_sites, head_sites
from interp.task import SortTask
from tests.covers import crossed
from tests.models import TASK, in_float64, small_model

LENGTH = 5
SITES = [*all_sites(2), *head_sites(2, 2)]
NORMS = ["pre", "post", "none"]


def pairs(n: int = 4) -> Pairs:
    return sample_pairs(TASK, n, LENGTH, seed=3)


def hooked_metric(model: SortTransformer, runs: PairRuns, changes: list[Set]) -> Tensor:
    """Clean minus corrupted logit at the read row, by the hooked model, of the base run changed."""
    with torch.no_grad(), intervene(model, changes):
        logits = model(runs.tokens)
    n = torch.arange(len(logits))
    read, answers = logits[n, runs.pairs.rows], runs.pairs.answers
    return read[n, answers[:, 0]] - read[n, answers[:, 1]]


def metric_with(runs: PairRuns, change: Set) -> Tensor:
    """The same by our own pass, which keeps to double precision."""
    with torch.no_grad():
        edits = edits_of(runs.model, [change])
        return runs.metric(forward(runs.model, runs.tokens, runs.view, edits))


def moved(runs: PairRuns, site: Site, alpha: float) -> Set:
    """The site's activation ``alpha`` of the way over to the donor's."""
    place = (site.component, site.layer)
    value = runs.base.at(*place) + alpha * runs.change(place)
    return Set(site, value, runs.base.frame(*place))


@pytest.mark.parametrize("norm", NORMS)
def test_the_gradient_is_a_finite_difference(norm: str) -> None:
    model = in_float64(small_model(norm))
    runs = pair_runs(model, pairs(), "denoising")
    guessed = attributed_effects(runs, SITES, "gradient")
    places = (TASK.max_len - 2, TASK.sep_pos, TASK.first_output_row, int(runs.pairs.rows[0]))
    for number, site in enumerate(SITES):
        for position in places:
            one = replace(site, positions=(position,))
            ahead, behind = (metric_with(runs, moved(runs, one, step)) for step in (1e-6, -1e-6))
            here = guessed[:, number, position - runs.view.start]
            torch.testing.assert_close(here, (ahead - behind) / 2e-6, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize(("direction", "norm"), crossed(DIRECTIONS, NORMS, every=2))
def test_integrated_gradients_add_up_to_patching_the_whole_site(
    norm: str, direction: Direction
) -> None:
    model = small_model(norm)
    runs = pair_runs(model, pairs(), direction)
    before = hooked_metric(model, runs, [])
    guessed = attributed_effects(runs, SITES, "integrated", steps=64)
    for site in all_sites(2):
        whole = hooked_metric(model, runs, [moved(runs, site, 1.0)]) - before
        total = guessed[:, SITES.index(site)].sum(-1)
        torch.testing.assert_close(total, whole, atol=0.02, rtol=0.02, msg=site.words)
    for layer in range(2):
        whole = hooked_metric(model, runs, [moved(runs, Site(Component.Z, layer), 1.0)]) - before
        heads = [SITES.index(Site(Component.Z, layer, heads=(head,))) for head in range(2)]
        total = guessed[:, heads].sum((1, 2))
        torch.testing.assert_close(total, whole, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("norm", NORMS)
def test_one_step_of_the_line_is_its_middle(norm: str) -> None:
    """Half of the way over, the sum over positions is the slope along the line."""
    runs = pair_runs(in_float64(small_model(norm)), pairs(), "denoising")
    for site in all_sites(2):
        total = attributed_effects(runs, [site], "integrated", steps=1)[:, 0].sum(-1)
        ahead, behind = (metric_with(runs, moved(runs, site, 0.5 + e)) for e in (1e-6, -1e-6))
        torch.testing.assert_close(total, (ahead - behind) / 2e-6, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_along_the_inputs_the_first_stream_adds_up_to_the_whole_effect(norm: str) -> None:
    runs = pair_runs(small_model(norm), pairs(), "denoising")
    guessed = attributed_effects(runs, SITES[:1], "integrated inputs", steps=64)
    torch.testing.assert_close(guessed[:, 0].sum(-1), runs.gap, atol=0.02, rtol=0.02)
    same = attributed_effects(runs, SITES[:1], "integrated", steps=64)
    torch.testing.assert_close(guessed, same)  # the embedding is the input


def test_where_the_rest_is_linear_every_guess_is_exact() -> None:
    """Without normalisation, what the last MLP writes goes straight to the logits."""
    runs = pair_runs(small_model("none"), pairs(), "noising")
    site = Site(Component.MLP_OUT, 1)
    exact = exact_effects(runs, [site])
    assert exact.abs().amax(-1).min() > 1e-2
    for method in METHODS:
        guessed = attributed_effects(runs, [site], method, steps=2)
        torch.testing.assert_close(guessed, exact, atol=1e-4, rtol=0)


def test_exact_effects_are_those_of_hooks() -> None:
    model = small_model("pre")
    for direction in DIRECTIONS:
        runs = pair_runs(model, pairs(), direction)
        exact, before = exact_effects(runs, SITES), hooked_metric(model, runs, [])
        assert torch.allclose(runs.metric(runs.base), before, atol=1e-4)
        for number, site in enumerate(SITES):
            for position in (TASK.max_len - 1, TASK.first_output_row + 1):
                one = replace(site, positions=(position,))
                wanted = hooked_metric(model, runs, [moved(runs, one, 1.0)]) - before
                here = exact[:, number, position - runs.view.start]
                torch.testing.assert_close(here, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_impossible_is_exactly_nothing_and_some_is_possible(norm: str) -> None:
    for direction in DIRECTIONS:
        runs = pair_runs(small_model(norm, n_layers=3), pairs(), direction)
        sites = [*all_sites(3), *head_sites(3, 2)]
        possible = possible_effects(runs, sites)
        assert possible.any(-1).all()
        later = torch.arange(possible.shape[-1]) > runs.rows[:, None]
        assert not (possible & later[:, None]).any()
        last = sites.index(Site(Component.ATTN_OUT, 2))
        assert possible[:, last].sum(-1).tolist() == [1] * 4  # the row that is read
        assert possible[:, 0].sum(-1).tolist() == [1] * 4  # the digit that was changed
        assert (exact_effects(runs, sites)[~possible] == 0).all()
        for method in METHODS:
            assert (attributed_effects(runs, sites, method, steps=2)[~possible] == 0).all()


def test_a_run_against_itself_has_no_effects() -> None:
    same = pairs()
    same = replace(same, corrupt=same.clean)
    runs = pair_runs(small_model("pre"), same, "denoising")
    assert (runs.gap == 0).all()
    assert not possible_effects(runs, SITES).any()
    assert (exact_effects(runs, SITES) == 0).all()
    for method in METHODS:
        assert (attributed_effects(runs, SITES, method, steps=2) == 0).all()


def test_gradients_leave_the_model_as_it_was() -> None:
    model = small_model("pre", task=SortTask(6, 4)).requires_grad_(False)
    runs = pair_runs(model, pairs(2), "denoising")
    with torch.no_grad():  # as a page may call it
        guessed = attributed_effects(runs, SITES, "gradient")
    assert not guessed.requires_grad
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())
