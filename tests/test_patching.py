"""The sweep against ``run_with_hooks``, and its exact nulls."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.packed import Window
from interp.pairs import Pairs, sample_pairs
from interp.patching import logits_at, patched_logits, record
from interp.sites import Component, Site, all_sites
from interp.task import SortTask

TASK = SortTask(max_len=6, n_blanks=3)


def build(norm: str, n_layers: int = 2, task: SortTask = TASK) -> SortTransformer:
    config = ModelConfig(
        task=task, n_layers=n_layers, d_model=16, n_heads=2, d_head=8, d_mlp=24, norm=norm
    )
    model = SortTransformer(config, seed=1)
    with torch.no_grad():  # biases matter too, and start at zero
        for name, parameter in model.named_parameters():
            if name.rsplit(".", 1)[-1].startswith("b"):
                parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    return model


def window(pairs: Pairs) -> Window:
    return Window(pairs.task, pairs.length, pairs.task.first_output_row)


def put(value: Tensor, hook: Any, *, positions: Tensor, donor: Tensor) -> Tensor:
    out = value.clone()
    out[:, positions] = donor[:, positions]
    return out


def slow(
    model: SortTransformer, site: Site, base: Tensor, donor: Tensor, place: Tensor, row: int
) -> Tensor:
    """One patch, as a person would write it."""
    _, cache = model.run_with_cache(donor[None])
    positions = place.nonzero()[:, 0]
    hook = partial(put, positions=positions, donor=cache[site.hook_name])
    logits = model.run_with_hooks(base[None], fwd_hooks=[(site.hook_name, hook)])
    return logits[0, row]


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_equals_hooks_at_every_site(norm: str, n_layers: int) -> None:
    model = build(norm, n_layers)
    pairs = sample_pairs(TASK, 3, 4, seed=0)
    view = window(pairs)
    runs = [record(model, tokens, view) for tokens in (pairs.clean, pairs.corrupt)]
    generator = torch.Generator().manual_seed(0)
    size = view.stop - view.start
    places = torch.rand(3, 5, size, generator=generator) < 0.3
    places[:, 0] = False
    places[:, 1] = True
    rows = pairs.rows - view.start
    for site in all_sites(n_layers):
        fast = patched_logits(model, site, runs[0], runs[1], places, rows)
        for i in range(3):
            for j in range(5):
                whole = torch.zeros(TASK.n_ctx, dtype=torch.bool)
                whole[view.start : view.stop] = places[i, j]
                expected = slow(
                    model, site, pairs.clean[i], pairs.corrupt[i], whole, int(pairs.rows[i])
                )
                torch.testing.assert_close(fast[i, j], expected, atol=2e-5, rtol=1e-4)


def test_unpatched_logits_are_the_models() -> None:
    model = build("pre")
    pairs = sample_pairs(TASK, 4, 5, seed=0)
    view = window(pairs)
    ours = logits_at(model, record(model, pairs.clean, view), pairs.rows - view.start)
    expected = model(pairs.clean)[torch.arange(4), pairs.rows]
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_patching_a_run_with_itself_is_bit_for_bit_nothing(norm: str) -> None:
    model = build(norm)
    pairs = sample_pairs(TASK, 4, 5, seed=0)
    view = window(pairs)
    rows = pairs.rows - view.start
    base, again = (record(model, pairs.clean, view) for _ in range(2))
    everywhere = torch.ones(4, 1, view.stop - view.start, dtype=torch.bool)
    for site in all_sites(2):
        patched = patched_logits(model, site, base, again, everywhere, rows)
        assert torch.equal(patched[:, 0], logits_at(model, base, rows))


def test_what_causality_forbids_is_exactly_zero_and_what_it_allows_is_not() -> None:
    model = build("pre")
    pairs = sample_pairs(TASK, 4, 5, seed=0)
    view = window(pairs)
    rows = pairs.rows - view.start
    # Different lists altogether, so that every position has something to give.
    other = record(model, pairs.corrupt.flip(0), view)
    base = record(model, pairs.clean, view)
    plain = logits_at(model, base, rows)
    size = view.stop - view.start
    single = torch.eye(size, dtype=torch.bool).expand(4, size, size)
    positions = torch.arange(size)
    for site in all_sites(2):
        patched = patched_logits(model, site, base, other, single, rows)
        same = (patched == plain[:, None]).all(-1)
        seen = positions <= rows[:, None]
        if site.layer == 1 and site.component is not Component.RESID_PRE:
            seen = positions == rows[:, None]
        assert same[~seen].all()
        if site != Site(Component.RESID_PRE, 0):  # there, equal tokens are equal activations
            assert not same[torch.arange(4), rows].any()


def test_one_place_is_the_sum_of_its_parts_only_together() -> None:
    """All positions of the first stream at once turn one run into the other."""
    model = build("post")
    pairs = sample_pairs(TASK, 4, 5, seed=2)
    view = window(pairs)
    rows = pairs.rows - view.start
    clean, corrupt = (record(model, t, view) for t in (pairs.clean, pairs.corrupt))
    everywhere = torch.ones(4, 1, view.stop - view.start, dtype=torch.bool)
    site = Site(Component.RESID_PRE, 0)
    patched = patched_logits(model, site, corrupt, clean, everywhere, rows)[:, 0]
    torch.testing.assert_close(patched, logits_at(model, clean, rows), atol=2e-5, rtol=1e-4)


def test_progress_counts_every_job() -> None:
    model = build("pre")
    pairs = sample_pairs(TASK, 4, 5, seed=0)
    view = window(pairs)
    run = record(model, pairs.clean, view)
    done: list[int] = []
    places = torch.ones(4, 7, view.stop - view.start, dtype=torch.bool)
    patched_logits(
        model, Site(Component.MLP_OUT, 0), run, run, places, pairs.rows - view.start, done.append
    )
    assert sum(done) == 28
