"""Norms that expect dropout: what the formula says, what real dropout does, and what literal code
computes."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from interp.answers.decode import score
from interp.interventions import Patch, Zero, edits_of, intervene
from interp.methods.variance_shift import AfterPart, ExpectDropout, norms_of, shrink
from interp.model import SortTransformer
from interp.passes.bare import BareTransformer
from interp.passes.forward import forward
from interp.passes.packed import window
from interp.sites import Component, Site
from interp.support.errors import UserError
from tests.models import TASK, small_model

LISTS = [[3, 1, 4, 1], [2, 2], [9], [5, 0, 5, 0, 5, 1]]
ATTENTION, MLP = AfterPart(0, Component.ATTN_OUT), AfterPart(0, Component.MLP_OUT)
LAST = AfterPart(1, Component.MLP_OUT)
BATCH = TASK.encode(LISTS)
VIEW = window(TASK, BATCH, digits_only=True)


def sharp_model() -> SortTransformer:
    """Attention that depends on what its queries and keys read."""
    model = small_model("post")
    with torch.no_grad():
        for block in model.blocks:
            for weight in (block.attn.W_Q, block.attn.W_K):
                weight.mul_(6)
    return model


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.6), st.integers(2, 40))
def test_the_expected_variance_is_the_mean_over_real_masks(seed, p, width):
    made = torch.Generator().manual_seed(seed)
    x, added = torch.randn(2, 1, width, generator=made, dtype=torch.float64)
    keep = torch.rand(40_000, width, generator=made, dtype=torch.float64) >= p
    drawn = (x + added * keep / (1 - p)).var(-1, correction=0)
    without = (x + added).var(-1, correction=0)
    expected = float(without / shrink(x, added, p, eps=0.0) ** 2)
    assert float(drawn.mean()) == pytest.approx(
        expected, abs=5 * float(drawn.std()) / math.sqrt(len(drawn))
    )


def test_no_dropout_changes_nothing_to_the_bit():
    model = small_model("post")
    plain = forward(model, BATCH.tokens, VIEW).logits
    for into in (None, Component.Q, Component.K, Component.V):
        edits = edits_of(model, [ExpectDropout(MLP, 0.0, into)])
        assert torch.equal(forward(model, BATCH.tokens, VIEW, edits).logits, plain)


def literal(model, values, expects: set[tuple[int, str]], p: float, into=None, at=None):
    """One list alone, token by token, every LayerNorm written out."""
    tokens = TASK.encode([values]).tokens[0]
    here = [i for i in range(TASK.n_ctx) if tokens[i] != TASK.pad]
    x = {i: model.embed.effective()[tokens[i]] + model.pos_embed.W_pos[i] for i in here}
    told = dict(x)  # what the heads of the next layer read, where they are told another

    def norm(s, added, module, chosen):
        variance = float(((s - s.mean()) ** 2).mean())
        if chosen:
            noise = [p / (1 - p) * float(a) ** 2 for a in added]
            variance += sum(noise) / len(noise) * (1 - 1 / len(noise))
        return (s - s.mean()) / math.sqrt(variance + module.eps) * module.w + module.b

    for layer, block in enumerate(model.blocks):
        attn, out = block.attn, {}
        read = {part: told if part is into and layer == 1 else x for part in Component}
        for i in here:
            added = attn.b_O.clone()
            for head in range(model.cfg.n_heads):
                q = read[Component.Q][i] @ attn.W_Q[head] + attn.b_Q[head]
                seen = [j for j in here if j <= i]
                k = [read[Component.K][j] @ attn.W_K[head] + attn.b_K[head] for j in seen]
                v = [read[Component.V][j] @ attn.W_V[head] + attn.b_V[head] for j in seen]
                weights = torch.stack([q @ one / math.sqrt(len(q)) for one in k]).softmax(0)
                added = added + (weights @ torch.stack(v)) @ attn.W_O[head]
            out[i] = norm(x[i] + added, added, block.ln1, (layer, "attention") in expects)
        now = {}
        for i in here:
            hidden = F.relu(out[i] @ block.mlp.W_in + block.mlp.b_in)
            added = hidden @ block.mlp.W_out + block.mlp.b_out
            chosen = (layer, "MLP") in expects and (at is None or i in at)
            shorter = norm(out[i] + added, added, block.ln2, chosen)
            now[i] = norm(out[i] + added, added, block.ln2, chosen and into is None)
            told[i] = shorter if into is not None else now[i]
        x = now
    rows = range(TASK.first_output_row, TASK.first_output_row + len(values))
    return torch.stack([x[i] @ model.unembed.W_U + model.unembed.b_U for i in rows])


CASES = {
    "nothing": ([], set(), None, None),
    "one": ([ExpectDropout(MLP, 0.3)], {(0, "MLP")}, None, None),
    "the first": ([ExpectDropout(ATTENTION, 0.3)], {(0, "attention")}, None, None),
    "the last": ([ExpectDropout(LAST, 0.3)], {(1, "MLP")}, None, None),
    "all": (
        [ExpectDropout(norm, 0.3) for norm in norms_of(small_model("post"))],
        {(0, "attention"), (0, "MLP"), (1, "attention"), (1, "MLP")},
        None,
        None,
    ),
    "keys": ([ExpectDropout(MLP, 0.3, Component.K)], {(0, "MLP")}, Component.K, None),
    "queries": ([ExpectDropout(MLP, 0.3, Component.Q)], {(0, "MLP")}, Component.Q, None),
    "values of digits": (
        [ExpectDropout(MLP, 0.3, Component.V, range(6))],
        {(0, "MLP")},
        Component.V,
        range(6),
    ),
    "blanks": ([ExpectDropout(MLP, 0.3, None, range(7, 10))], {(0, "MLP")}, None, range(7, 10)),
}


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_it_is_what_literal_code_computes_on_every_pass(case):
    changes, expects, into, at = CASES[case]
    model = sharp_model()
    edits = edits_of(model, changes)
    found = forward(model, BATCH.tokens, VIEW, edits).logits
    bare = BareTransformer(model.config, dict(model.state_dict()))
    lean = forward(bare, BATCH.tokens, VIEW, edits_of(bare, changes)).logits
    with intervene(model, changes):
        hooked = model(BATCH.tokens)[:, VIEW.rows]
    plain = forward(model, BATCH.tokens, VIEW).logits
    for row, values in enumerate(LISTS):
        right = literal(model, values, expects, 0.3, into, at)
        for logits in (found, lean, hooked):
            torch.testing.assert_close(logits[row, : len(values)], right, atol=2e-4, rtol=1e-3)
    assert bool(changes) == (float((found - plain).abs().max()) > 1e-3)  # it does something


@torch.no_grad()
def test_a_model_made_to_expect_dropout_is_right_only_when_its_norm_does():
    """The MLP adds one vector, across everything else there is, to every token: what its LayerNorm
    makes is then shorter with dropout by one known factor, by which this one's gain is too large.
    """
    right = small_model("post", positions="learned")
    for tensor in (right.embed.W_E, right.pos_embed.W_pos, right.blocks[0].attn.W_O):
        tensor[..., :2] = 0
    right.blocks[0].attn.b_O[:2] = 0
    right.blocks[0].ln1.w.fill_(1)
    right.blocks[0].ln1.b.zero_()
    mlp, norm, d, p = right.blocks[0].mlp, right.blocks[0].ln2, 16, 0.3
    mlp.W_out.zero_()
    mlp.b_out.zero_()
    mlp.b_out[:2] = torch.tensor([2.0, -2.0])
    wrong = copy.deepcopy(right)
    added = 8 / d  # mean square; what it is added to has variance 1
    factor = math.sqrt((1 + added) / (1 + added + p / (1 - p) * added * (1 - 1 / d)))
    wrong.blocks[0].ln2.w.div_(factor)
    assert float(norm.w.min()) != 0 and factor < 0.95
    plain = forward(right, BATCH.tokens, VIEW).logits
    assert not torch.allclose(forward(wrong, BATCH.tokens, VIEW).logits, plain, atol=1e-3)
    edits = edits_of(wrong, [ExpectDropout(MLP, p)])
    found = forward(wrong, BATCH.tokens, VIEW, edits).logits
    for row, values in enumerate(LISTS):
        n = len(values)
        torch.testing.assert_close(found[row, :n], plain[row, :n], atol=1e-4, rtol=1e-4)
    assert set(norms_of(wrong)) == {ATTENTION, MLP, AfterPart(1, Component.ATTN_OUT), LAST}


def test_lists_scored_together_are_scored_as_each_alone():
    model, changes = small_model("post"), [ExpectDropout(MLP, 0.4)]
    batch = TASK.held_out(40, 3)
    together = score(model, batch, interventions=changes).predicted
    for index in range(0, 40, 7):
        alone = score(model, batch[index : index + 1], interventions=changes).predicted
        assert torch.equal(together[index : index + 1, : alone.shape[1]], alone)


def test_interventions_before_it_are_seen_by_it():
    """A part that is taken away has no dropout: the norm after it expects none."""
    model = small_model("post")
    gone = Zero(Site(Component.MLP_OUT, 0))
    both = forward(model, BATCH.tokens, VIEW, edits_of(model, [gone, ExpectDropout(MLP, 0.4)]))
    alone = forward(model, BATCH.tokens, VIEW, edits_of(model, [gone]))
    torch.testing.assert_close(both.logits, alone.logits, atol=1e-6, rtol=1e-6)


def test_the_stream_is_what_all_its_readers_are_told():
    """Queries, keys and values each from the pass in which the stream itself is shorter, and the
    stream patched in beside them: that is that pass."""
    model = small_model("post")
    whole = forward(
        model,
        BATCH.tokens,
        VIEW,
        edits_of(model, [ExpectDropout(MLP, 0.4)]),
        keep=[(Component.RESID_PRE, 1)],
    )
    readers = [ExpectDropout(MLP, 0.4, part) for part in (Component.Q, Component.K, Component.V)]
    mid = forward(model, BATCH.tokens, VIEW, edits_of(model, readers), keep=[(Component.Z, 1)])
    put = [Patch(Site(Component.Z, 1), mid), ExpectDropout(MLP, 0.4)]
    again = forward(model, BATCH.tokens, VIEW, edits_of(model, put))
    torch.testing.assert_close(again.logits, whole.logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: AfterPart(0, Component.Z), "follows attn_out and mlp_out, not z"),
        (lambda: ExpectDropout(MLP, 1.0), "at least 0 and below 1, not 1.0"),
        (lambda: ExpectDropout(MLP, 0.1, Component.Z), "is q, k or v, not z"),
        (lambda: ExpectDropout(ATTENTION, 0.1, Component.K), "what the norm after an MLP makes"),
        (lambda: norms_of(small_model("pre")), "this one has norm 'pre'"),
        (lambda: edits_of(small_model("none"), [ExpectDropout(MLP, 0.1)]), "has norm 'none'"),
        (
            lambda: edits_of(
                small_model("post"), [ExpectDropout(AfterPart(2, Component.MLP_OUT), 0.1)]
            ),
            "no norm after MLP 2: this model has 2 layers",
        ),
        (lambda: edits_of(small_model("post"), [ExpectDropout(LAST, 0.1, Component.K)]), "layer"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(made, message):
    with pytest.raises(UserError, match=message):
        made()


def test_words_say_what_and_where():
    assert ExpectDropout(MLP, 0.1).words == "norm after MLP 0 expects dropout 0.1"
    told = ExpectDropout(MLP, 0.1, Component.K, range(3)).words
    assert told == "norm after MLP 0 expects dropout 0.1, for keys of layer 1"
