"""The sweep against ``run_with_hooks``, and its exact nulls."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.answers.pairs import Pairs, sample_pairs
from interp.config import ModelConfig, Sight
from interp.methods.patching import logits_at, patched_logits, record
from interp.model import SortTransformer
from interp.passes.forward import Run
from interp.passes.packed import Window
from interp.sites import PER_HEAD, Component, Site, all_sites
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.task import SortTask
from tests.covers import crossed
from tests.models import small_model

TASK = SortTask(max_len=6, n_blanks=3)
N_HEADS = 2
build = partial(small_model, task=TASK)


def sites_of(n_layers: int) -> list[Site]:
    """Streams, each single head, and all heads together."""
    heads: list[tuple[int, ...] | None] = [*((h,) for h in range(N_HEADS)), None]
    per_head = [Site(c, layer, h) for c in PER_HEAD for layer in range(n_layers) for h in heads]
    return [*all_sites(n_layers), *per_head]


def window(pairs: Pairs) -> Window:
    return Window(pairs.task, pairs.length, pairs.task.first_output_row)


def others(pairs: Pairs) -> Tensor:
    """Lists of the same length with all of their outputs, so that no row is padding."""
    lengths = torch.full((len(pairs),), pairs.length)
    return pairs.task.sample(len(pairs), torch.Generator().manual_seed(3), lengths).tokens


def two_runs(model: SortTransformer, pairs: Pairs, *, unrelated: bool = False) -> tuple[Run, Run]:
    """Clean and corrupted; ``unrelated`` lists differ at every position that can differ."""
    corrupt = others(pairs) if unrelated else pairs.corrupt
    return record(model, pairs.clean, window(pairs)), record(model, corrupt, window(pairs))


def put(value: Tensor, hook: Any, *, positions: Tensor, heads: Any, donor: Tensor) -> Tensor:
    out = value.clone()
    for position in positions:
        if heads is None:
            out[:, position] = donor[:, position]
        else:
            out[:, position, list(heads)] = donor[:, position, list(heads)]
    return out


def slow(
    model: SortTransformer, site: Site, base: Tensor, donor: Tensor, place: Tensor, row: int
) -> Tensor:
    """One patch, as a person would write it."""
    _, cache = model.run_with_cache(donor[None])
    positions = place.nonzero()[:, 0]
    hook = partial(put, positions=positions, heads=site.heads, donor=cache[site.hook_name])
    logits = model.run_with_hooks(base[None], fwd_hooks=[(site.hook_name, hook)])
    return logits[0, row]


def assert_equals_hooks(model: SortTransformer, sites: list[Site]) -> None:
    task = model.task
    pairs = sample_pairs(task, 2, 4, seed=0)
    view, rows = window(pairs), pairs.rows - window(pairs).start
    base, donor = two_runs(model, pairs, unrelated=True)
    size = view.stop - view.start
    places = torch.rand(2, 4, size, generator=torch.Generator().manual_seed(0)) < 0.3
    places[:, 0], places[:, 1] = False, True
    for site in sites:
        fast = patched_logits(model, site, base, donor, places, rows)
        for i in range(2):
            for j in range(4):
                whole = torch.zeros(task.n_ctx, dtype=torch.bool)
                whole[view.start : view.stop] = places[i, j]
                lists = pairs.clean[i], others(pairs)[i]
                expected = slow(model, site, *lists, whole, int(pairs.rows[i]))
                torch.testing.assert_close(fast[i, j], expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(("norm", "n_layers"), crossed(["pre", "post", "none"], [1, 2, 3], every=3))
def test_equals_hooks_at_every_site(norm: str, n_layers: int) -> None:
    with torch.no_grad():
        assert_equals_hooks(build(norm, n_layers), sites_of(n_layers))


@pytest.mark.parametrize("sight", ["outputs-not-blanks", "outputs-not-digits"])
def test_equals_hooks_in_models_of_restricted_sight(sight: Sight) -> None:
    config = ModelConfig(TASK, d_model=16, n_heads=N_HEADS, d_head=8, d_mlp=24, sight=sight)
    sites = [Site(Component.RESID_PRE, 0), Site(Component.ATTN_OUT, 0), Site(Component.V, 1, (1,))]
    with torch.no_grad():
        assert_equals_hooks(SortTransformer(config, seed=3), sites)


def test_unpatched_logits_are_the_models() -> None:
    model = build("pre")
    pairs = sample_pairs(TASK, 4, 5, seed=0)
    view = window(pairs)
    ours = logits_at(record(model, pairs.clean, view), pairs.rows - view.start)
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
    for site in sites_of(2):
        patched = patched_logits(model, site, base, again, everywhere, rows)
        assert torch.equal(patched[:, 0], logits_at(base, rows))


def test_what_causality_forbids_is_exactly_zero_and_what_it_allows_is_not() -> None:
    model = build("pre")
    pairs = sample_pairs(TASK, 4, 5, seed=0)
    rows = pairs.rows - window(pairs).start
    base, other = two_runs(model, pairs, unrelated=True)
    plain = logits_at(base, rows)
    size = base.logits.shape[1]
    single = torch.eye(size, dtype=torch.bool).expand(4, size, size)
    positions = torch.arange(size)
    for site in sites_of(2):
        patched = patched_logits(model, site, base, other, single, rows)
        same = (patched == plain[:, None]).all(-1)
        seen = positions <= rows[:, None]
        if site.layer == 1 and site.component not in (
            Component.RESID_PRE,
            Component.K,
            Component.V,
        ):
            seen = positions == rows[:, None]
        assert same[~seen].all()
        first_inputs = (Component.RESID_PRE, Component.Q, Component.K, Component.V)
        if site.layer or site.component not in first_inputs:
            # In the first layer equal tokens are equal activations, and the row's may be equal.
            assert not same[torch.arange(4), rows].any()


def test_the_whole_first_stream_turns_one_run_into_the_other() -> None:
    model = build("post")
    pairs = sample_pairs(TASK, 4, 5, seed=2)
    rows = pairs.rows - window(pairs).start
    clean, corrupt = two_runs(model, pairs)
    everywhere = torch.ones(4, 1, clean.logits.shape[1], dtype=torch.bool)
    patched = patched_logits(model, Site(Component.RESID_PRE, 0), corrupt, clean, everywhere, rows)
    torch.testing.assert_close(patched[:, 0], logits_at(clean, rows), atol=2e-5, rtol=1e-4)


def test_more_places_than_go_at_once() -> None:
    """A hundred equal places give a hundred equal answers, those of one."""
    model = build("pre")
    pairs = sample_pairs(TASK, 2, 5, seed=2)
    rows = pairs.rows - window(pairs).start
    clean, corrupt = two_runs(model, pairs)
    one = torch.rand(2, 1, clean.logits.shape[1]) < 0.5
    site = Site(Component.RESID_PRE, 0)
    many = patched_logits(model, site, corrupt, clean, one.expand(2, 100, -1), rows)
    alone = patched_logits(model, site, corrupt, clean, one, rows)
    torch.testing.assert_close(many, alone.expand(2, 100, -1), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (Site(Component.PATTERN, 0), "cannot be swept"),
        (Site(Component.Z, 0, heads=(2,)), "no head 2"),
        (Site(Component.Z, 2), "no layer 2"),
        (Site(Component.RESID_PRE, 0, positions=(1,)), "positions of a sweep are its places"),
    ],
)
def test_what_cannot_be_swept_is_said(site: Site, words: str) -> None:
    model = build("pre")
    pairs = sample_pairs(TASK, 2, 5, seed=2)
    clean, corrupt = two_runs(model, pairs)
    places = torch.ones(2, 1, clean.logits.shape[1], dtype=torch.bool)
    with pytest.raises(UserError, match=words):
        patched_logits(model, site, corrupt, clean, places, pairs.rows - window(pairs).start)


class Counting(Progress):
    total = done = 0

    def begin(self, total: int, words: str) -> None:
        self.total += total

    def step(self, done: int = 1) -> None:
        self.done += done


def test_progress_counts_every_job() -> None:
    model = build("pre")
    pairs = sample_pairs(TASK, 4, 5, seed=0)
    run, _ = two_runs(model, pairs)
    places = torch.ones(4, 7, run.logits.shape[1], dtype=torch.bool)
    progress = Counting()
    rows = pairs.rows - window(pairs).start
    patched_logits(model, Site(Component.MLP_OUT, 0), run, run, places, rows, progress)
    assert progress.done == 28
