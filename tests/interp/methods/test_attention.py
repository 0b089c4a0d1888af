"""Attention statistics and circuits: against slow plain code, on known algorithms, at the nulls."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.config import ModelConfig
from interp.methods.attention import (
    ANSWER_ROWS,
    KEYS,
    ROWS,
    AttentionStats,
    Target,
    attention_stats,
    head_scores,
)
from interp.methods.circuits import copying_score, ov_circuit, qk_circuit
from interp.model import SortTransformer
from interp.sites import Component, hook_name, pattern_hook, scores_hook
from interp.sorters.compiled import compile_sorter
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import N_DIGITS, PAD, Region, SortBatch, SortTask
from tests.models import TASK, small_model

LISTS = [[3, 1, 1, 7, 3], [0, 9, 9, 2, 5], [4, 4, 4, 4, 4]]
SMALL = SortTask(max_len=6, n_blanks=7)


def lists_of(task: SortTask, length: int, n: int = 24) -> SortBatch:
    return task.sample(n, stream("test", 0), torch.full((n,), length))


# -- against slow plain code ------------------------------------------------------------------


@pytest.fixture(scope="module")
def patterns() -> list[list[list[list[list[float]]]]]:
    """[list][layer][head][query][key] of the whole sequence, from the hooked model."""
    model = small_model()
    _, cache = model.run_with_cache(TASK.encode(LISTS).tokens)
    return torch.stack([cache[pattern_hook(layer)] for layer in range(2)], 1).tolist()


@pytest.fixture(scope="module")
def stats() -> AttentionStats:
    return attention_stats(small_model(), TASK.encode(LISTS))


def rows_of(name: str, length: int = 5) -> list[int]:
    return list(TASK.output_rows(length) if name == ANSWER_ROWS else TASK.region(Region(name), 5))


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def heads() -> list[tuple[int, int, int]]:
    return [(number, layer, head) for number in range(3) for layer in range(2) for head in range(2)]


def test_mass_is_the_sum_over_a_regions_keys(stats: AttentionStats, patterns: Any) -> None:
    for number, layer, head in heads():
        weights = patterns[number][layer][head]
        for rows in ROWS:
            for region in KEYS:
                keys = TASK.region(region, 5)
                wanted = mean([sum(weights[q][k] for k in keys) for q in rows_of(rows)])
                found = stats.masses(layer, head, rows, region)[number]
                assert found == pytest.approx(wanted, abs=1e-6)


def test_entropy_in_bits_and_as_a_share(stats: AttentionStats, patterns: Any) -> None:
    for number, layer, head in heads():
        for group, rows in enumerate(ROWS):
            bits, shares = [], []
            for q in rows_of(rows):
                seen = patterns[number][layer][head][q][1 : q + 1]  # position 0 is padding
                bits.append(-sum(p * math.log2(p) for p in seen if p > 0))
                if len(seen) > 1:
                    shares.append(bits[-1] / math.log2(len(seen)))
            assert stats.entropy[number, layer, head, group] == pytest.approx(mean(bits), abs=1e-5)
            share = stats.relative_entropy[number, layer, head, group]
            assert share == pytest.approx(mean(shares), abs=1e-5)


def test_the_best_offset_gathers_most(stats: AttentionStats, patterns: Any) -> None:
    for layer in range(2):
        for head in range(2):
            for rows in ROWS:
                queries = rows_of(rows)
                by_offset = [
                    mean([patterns[i][layer][head][q][q - o] if q > o else 0.0 for q in queries])
                    for o in range(TASK.n_ctx)
                    for i in range(3)
                ]
                sums = [sum(by_offset[3 * o : 3 * o + 3]) for o in range(TASK.n_ctx)]
                assert stats.best_offset(layer, head, rows) == sums.index(max(sums))


def test_what_the_offset_explains_by_its_definition(stats: AttentionStats, patterns: Any) -> None:
    for group, rows in enumerate(ROWS):
        pairs = [(q, k) for q in rows_of(rows) for k in range(1, q + 1)]
        for layer in range(2):
            for head in range(2):
                found = stats.offset_explained[:, layer, head, group]
                if len(rows_of(rows)) == 1:
                    assert found.isnan().all()
                    continue
                wanted = explained([patterns[i][layer][head] for i in range(3)], pairs)
                assert float(found.mean()) == pytest.approx(wanted, abs=1e-5)


def explained(lists: list[list[list[float]]], pairs: list[tuple[int, int]]) -> float:
    left = whole = 0.0
    for number, weights in enumerate(lists):
        others = [other for i, other in enumerate(lists) if i != number]
        for q, k in pairs:
            alike = [(r, s) for r, s in pairs if r - s == q - k]
            kernel = mean([other[r][s] - 1 / r for other in others for r, s in alike])
            left += (weights[q][k] - 1 / q - kernel) ** 2
            whole += (weights[q][k] - 1 / q) ** 2
    return 1 - left / whole


def test_targets_by_their_definition(stats: AttentionStats, patterns: Any) -> None:
    for number, layer, head in heads():
        digits, answer = LISTS[number], sorted(LISTS[number])
        found: dict[Target, list[tuple[float, float]]] = {target: [] for target in Target}
        for i, q in enumerate(TASK.output_rows(5)):
            weights = patterns[number][layer][head][q]
            listed = {1 + slot: digit for slot, digit in enumerate(digits)}
            last = answer[i - 1] if i else None
            above = [d for d in digits if last is not None and d > last]
            wanted = {Target.EQUAL: last, Target.LARGER: min(above) if above else None}
            wanted[Target.EMITTED] = answer[i]
            for target, digit in wanted.items():
                if digit is not None:
                    keys = [k for k, d in listed.items() if d == digit]
                    chance = sum(weights[k] for k in listed) * len(keys) / len(digits)
                    found[target].append((sum(weights[k] for k in keys), chance))
            found[Target.PREVIOUS].append((weights[q - 1], 1 / q))
            if i < TASK.n_blanks:
                found[Target.OWN_BLANK].append((weights[TASK.sep_pos + 1 + i], 1 / q))
        for t, target in enumerate(Target):
            for kind, values in enumerate((stats.target_mass, stats.target_chance)):
                value = float(values[number, layer, head, t])
                wanted_mean = mean([pair[kind] for pair in found[target]])
                assert value == pytest.approx(wanted_mean, abs=1e-6, nan_ok=True)


def test_the_mean_pattern_is_that_of_the_answer_rows(stats: AttentionStats, patterns: Any) -> None:
    rows = TASK.output_rows(5)
    wanted = torch.tensor(patterns).mean(0)[:, :, rows.start : rows.stop, 1 : rows.stop]
    torch.testing.assert_close(stats.pattern, wanted, atol=1e-6, rtol=0)


# -- known algorithms ------------------------------------------------------------------------


def answer(stats: AttentionStats, values: torch.Tensor) -> torch.Tensor:
    """[layer, head], mean over lists at the answer rows."""
    return values[..., ROWS.index(ANSWER_ROWS)].mean(0)


def test_slots_reads_row_i_from_blank_i() -> None:
    stats = attention_stats(compile_sorter("slots", SMALL).model, lists_of(SMALL, 6))
    scores = {name: values.nanmean(0) for name, values in head_scores(stats).items()}
    chance = sum(1 / (SMALL.first_output_row + i + 1) for i in range(6)) / 6
    assert scores["own blank"][1, 2] == pytest.approx(1 - chance, abs=1e-5)
    assert 0.999 < scores["offset alone"][1, 2] <= 1
    assert scores["sharpness"][1, 2] == pytest.approx(1, abs=1e-5)
    assert stats.best_offset(1, 2) == SMALL.n_blanks - 1
    assert stats.best_offset(1, 0) == 1  # the decoy that looks at the position before
    assert float(scores["previous position"][1, 0]) == pytest.approx(1 - chance, abs=1e-5)


def test_histogram_reads_all_blanks_alike() -> None:
    stats = attention_stats(compile_sorter("histogram", SMALL).model, lists_of(SMALL, 6))
    assert answer(stats, stats.entropy)[1, 0] == pytest.approx(math.log2(7), abs=1e-5)
    assert stats.masses(1, 0, ANSWER_ROWS, Region.BLANKS).mean() == pytest.approx(6 / 7, abs=1e-5)
    assert stats.masses(1, 0, "digits", Region.BLANKS).max() == 0  # they come later


def test_a_head_that_looks_for_equal_digits() -> None:
    """It divides its attention among the digits of the list and the outputs that equal its row."""
    task = SortTask(max_len=4, n_blanks=5)
    model = compile_sorter("slots", task).model
    stats = attention_stats(model, task.encode([[2, 7, 7, 7], [2, 7, 7, 7]]))
    # Rows 2, 7, 7 see (list, outputs) = (1, 1), (3, 1), (3, 2) equal digits.
    mass = float(stats.target_mass[0, 0, 0, list(Target).index(Target.EQUAL)])
    assert mass == pytest.approx((1 / 2 + 3 / 4 + 3 / 5) / 3, abs=1e-4)
    chance = float(stats.target_chance[0, 0, 0, list(Target).index(Target.EQUAL)])
    assert chance == pytest.approx((1 / 2 / 4 + 3 / 4 * 3 / 4 + 3 / 5 * 3 / 4) / 3, abs=1e-4)


def test_a_pattern_tied_to_one_key_is_no_function_of_the_offset() -> None:
    """The counting head rests on SEP: of each offset, one row in six looks that far."""
    stats = attention_stats(compile_sorter("direct", SMALL).model, lists_of(SMALL, 6))
    assert answer(stats, stats.offset_explained)[0, 0] < 0.3
    assert stats.masses(0, 0, ANSWER_ROWS, Region.SEP).mean() > 0.99


# -- nulls and invariants --------------------------------------------------------------------


def test_uniform_attention_is_chance_everywhere() -> None:
    model = small_model("pre")
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_Q.zero_()
            block.attn.b_Q.zero_()
    stats = attention_stats(model, lists_of(TASK, 5))
    torch.testing.assert_close(stats.target_mass, stats.target_chance, atol=1e-6, rtol=0)
    torch.testing.assert_close(stats.relative_entropy, torch.ones_like(stats.relative_entropy))
    assert stats.offset_explained.isnan().all()  # nothing to explain


@given(
    max_len=st.integers(1, 6),
    n_blanks=st.integers(0, 7),
    length=st.integers(1, 6),
    norm=st.sampled_from(["pre", "post", "none"]),
)
def test_any_layout(max_len: int, n_blanks: int, length: int, norm: str) -> None:
    task = SortTask(max_len, n_blanks)
    length = min(length, max_len)
    stats = attention_stats(small_model(norm, 2, task), lists_of(task, length, n=3))
    for group, name in enumerate(ROWS):
        rows = (
            task.output_rows(length) if name == ANSWER_ROWS else task.region(Region(name), length)
        )
        mass = stats.mass[..., group, :].sum(-1)
        if len(rows):
            torch.testing.assert_close(mass, torch.ones_like(mass), atol=1e-5, rtol=0)
        else:
            assert mass.isnan().all()
            assert stats.best_offset(0, 0, name) is None
    explained_mean = stats.offset_explained.mean(0).nan_to_num()
    assert (explained_mean <= 1 + 1e-6).all()
    shares = stats.relative_entropy[~stats.relative_entropy.isnan()]
    assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()
    own = stats.target_mass[..., list(Target).index(Target.OWN_BLANK)]
    assert own.isnan().all() == (n_blanks == 0)
    assert stats.estimate(own[:, 0, 0]) is None or n_blanks


def test_lists_of_one_length_and_more_than_one() -> None:
    with pytest.raises(UserError, match="of lengths \\[1, 2\\]"):
        attention_stats(small_model(), TASK.encode([[1], [1, 2]]))
    with pytest.raises(UserError, match="not 1 of lengths"):
        attention_stats(small_model(), TASK.encode([[1, 2]]))


# -- circuits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "post", "pre"])
def test_the_parts_of_qk_add_up_to_the_scores_of_layer_0(norm: str) -> None:
    """Up to a constant per query; in a pre-norm model after the division that is left out."""
    model = small_model(norm)
    tokens = TASK.encode([[3, 1, 1, 7, 3, 0]]).tokens
    _, cache = model.run_with_cache(tokens)
    qk, seen = qk_circuit(model, 0), tokens[0, : TASK.n_ctx - 1]  # the last is no input
    n = len(seen)
    scale = torch.ones(n)
    if norm == "pre":
        scale = cache["blocks.0.ln1.hook_scale"][0, :n, 0]
    both = (
        qk.tokens[:, seen][:, :, seen]
        + qk.token_to_position[:, seen, :n]
        + qk.position_to_token[:, :n, seen]
        + qk.positions[:, :n, :n]
    ) / (scale[:, None] * scale)
    found = both + (qk.bias_to_token[:, None, seen] + qk.bias_to_position[:, None, :n]) / scale
    wanted = cache[scores_hook(0)][0, :, :n, :n]
    for query in range(n):
        difference = (found - wanted)[:, query, : query + 1]
        torch.testing.assert_close(
            difference, difference[:, :1].expand_as(difference), atol=2e-4, rtol=0
        )


@pytest.mark.parametrize("layer", [0, 1])
def test_ov_is_what_the_embedding_adds_through_the_head(layer: int) -> None:
    """Without normalisation: the logits change by exactly this when a head reads one token more."""
    model = small_model("none")
    ov = ov_circuit(model, layer)
    for head in range(2):
        z = model.W_E[:PAD] @ model.blocks[layer].attn.W_V[head]
        logits = z @ model.blocks[layer].attn.W_O[head] @ model.unembed.W_U
        torch.testing.assert_close(
            ov[head], logits - logits.mean(1, keepdim=True), atol=1e-5, rtol=1e-4
        )


def test_ov_of_a_pre_norm_model_up_to_its_two_divisions() -> None:
    """Position 0 sees only itself, a 5: what each head writes there is known."""
    model = small_model("pre", n_layers=1)
    with torch.no_grad():
        model.pos_embed.W_pos.zero_()
        for name, parameter in model.named_parameters():
            if name.endswith(
                ("b_V", "b_O", "b_in", "b_out", "W_out", "ln1.b", "ln_final.b", "b_U")
            ):
                parameter.zero_()
    _, cache = model.run_with_cache(TASK.encode([[5, 5, 5, 5, 5, 5]]).tokens)
    x = cache[hook_name(Component.RESID_PRE, 0)][0, 0]  # position 0 sees itself alone: a 5
    std = (x - x.mean()).square().mean().add(model.cfg.eps).sqrt()
    z = cache[hook_name(Component.Z, 0)][0, 0]  # [head, d_head]
    for head in range(2):
        out = z[head] @ model.blocks[0].attn.W_O[head]
        logits = ((out - out.mean()) * model.ln_final.w) @ model.unembed.W_U
        torch.testing.assert_close(
            ov_circuit(model, 0)[head, 5] / std, logits - logits.mean(), atol=1e-5, rtol=1e-4
        )


def test_circuits_of_compiled_heads() -> None:
    """slots: head 0.0 looks for equal digits, 0.2 for the position before; both write nothing."""
    model = compile_sorter("slots", SMALL).model
    qk, ov = qk_circuit(model, 0), ov_circuit(model, 0)
    digits = qk.tokens[0, :N_DIGITS, :N_DIGITS]
    torch.testing.assert_close(digits, digits[0, 0] * torch.eye(N_DIGITS))
    assert digits[0, 0] > 10
    to_positions = qk.positions[2] + qk.bias_to_position[2]
    for query in range(1, SMALL.n_ctx):
        assert int(to_positions[query].argmax()) == query - 1
    assert (ov[[0, 2]] == 0).all() and copying_score(model.task, ov)[[0, 2]].isnan().all()


def test_copying_score_of_known_maps() -> None:
    copies, shift = torch.eye(12), torch.eye(12)
    shift[:N_DIGITS, :N_DIGITS] = torch.eye(N_DIGITS).roll(1, 1)  # raises the digit above, 9: 0
    score = copying_score(TASK, torch.stack([copies, -copies, shift, torch.zeros(12, 12)]))
    assert score[:3].tolist() == pytest.approx([1, -1, 0], abs=1e-6) and score[3].isnan()


def test_post_norm_reads_through_both_layer_norms_of_the_layer_before() -> None:
    model = small_model("post")
    with torch.no_grad():
        for block in model.blocks:
            for norm in (block.ln1, block.ln2):
                norm.w.uniform_(0.5, 2, generator=torch.Generator().manual_seed(3))
    x = model.W_E[:PAD]
    for norm in (model.blocks[0].ln1, model.blocks[0].ln2):
        x = (x - x.mean(1, keepdim=True)) * norm.w
    attn = model.blocks[1].attn
    wanted = (x @ attn.W_Q[1]) @ (x @ attn.W_K[1]).T / math.sqrt(8)
    torch.testing.assert_close(qk_circuit(model, 1).tokens[1], wanted, atol=1e-4, rtol=1e-4)


def test_an_unknown_layer_is_refused() -> None:
    model = SortTransformer(ModelConfig(task=TASK, d_model=16, n_heads=2, d_head=8, d_mlp=8))
    for circuit in (qk_circuit, ov_circuit):
        with pytest.raises(UserError, match="no layer 2: this model has 0 to 1"):
            circuit(model, 2)
