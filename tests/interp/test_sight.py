"""Restricted attention: the same in every forward pass, exact where it forbids, kept on disk."""

import json
from dataclasses import replace

import pytest
import torch

from interp.answers.ablation import published_mask
from interp.answers.decode import greedy_decode, score
from interp.checkpoints import content_hash, find_checkpoint, load_model, save_model
from interp.config import ModelConfig
from interp.model import SortTransformer, own_blocked
from interp.passes.packed import packed_logits, window
from interp.sites import pattern_hook, scores_hook
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import PAD, SortBatch, SortTask
from tests.models import as_matrix
from training.loop import Trainer
from training.recipes import ORIGINAL, TrainConfig

TASK = SortTask(4, 3)  # digits 0-3, SEP 4, blanks 5 6 7, outputs 8-11
SIGHTS = ("outputs-not-blanks", "blanks-not-digits", "outputs-not-digits")
SMALL = {"max_len": 4, "d_mlp": 32, "d_model": 20, "n_heads": 2, "d_head": 10}
SMALL |= {"batch_size": 12, "micro_batch": 5, "threads": 1, "precision": "float32"}

all_sights = pytest.mark.parametrize("sight", SIGHTS)


@pytest.fixture(autouse=True)
def same_threads():
    """A trainer on one thread takes its process to one thread; leave no trace of that."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def a_model(sight: str, norm: str = "post", **options) -> SortTransformer:
    """Every parameter random, so that masked places would be noticed."""
    sizes = {"task": TASK, "d_model": 12, "n_heads": 3, "d_head": 4, "d_mlp": 24}
    model = SortTransformer(ModelConfig(**{**sizes, **options}, norm=norm, sight=sight))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, 0.4, generator=stream("test", name))
            parameter.add_(1.0 if name.endswith(".w") else 0.0)
    return model.eval()


def some_lists(task: SortTask = TASK, n_lists: int = 11) -> SortBatch:
    return task.sample(n_lists, stream("test", "lists"))


# -- where --------------------------------------------------------------------------------------


def cells(blocked: torch.Tensor) -> list[str]:
    """Rows 4-11 (SEP on) as text: ``#`` where attention is closed."""
    return ["".join("#" if cell else "." for cell in row) for row in blocked[4:].tolist()]


def test_the_three_restrictions_literally():
    got = {sight: cells(own_blocked(ModelConfig(task=TASK, sight=sight))) for sight in SIGHTS}
    assert got == {
        # position: 0123 S bbb oooo; row 7 is the last blank, and the first output
        "outputs-not-blanks": [
            "............",
            "............",
            "............",
            ".....##.....",
            ".....###....",
            ".....###....",
            ".....###....",
            ".....###....",
        ],
        "blanks-not-digits": [
            "............",
            "####........",
            "####........",
            "............",
            "............",
            "............",
            "............",
            "............",
        ],
        "outputs-not-digits": [
            "............",
            "............",
            "............",
            "#####.......",
            "#####.......",
            "#####.......",
            "#####.......",
            "#####.......",
        ],
    }
    assert own_blocked(ModelConfig(task=TASK)) is None
    published = SortTask()
    ours = own_blocked(ModelConfig(task=published, sight="outputs-not-blanks"))
    assert torch.equal(ours, as_matrix(published_mask(published, last_blank_too=True), published))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("task", "sight", "message"),
    [
        (SortTask(4, 0), "outputs-not-blanks", "sight outputs-not-blanks needs at least a blank"),
        (SortTask(4, 0), "blanks-not-digits", "sight blanks-not-digits needs at least a blank"),
        (SortTask(4, 1), "outputs-not-digits", "needs at least 2 blanks, the last being an output"),
        (TASK, "nothing", "sight must be one of all, outputs-not-blanks, "),
    ],
)
def test_restrictions_that_cannot_be_are_refused(task, sight, message):
    with pytest.raises(UserError) as caught:
        ModelConfig(task=task, sight=sight)
    assert message in str(caught.value)


# -- every forward pass -------------------------------------------------------------------------


def literal_pass(model: SortTransformer, tokens: torch.Tensor) -> torch.Tensor:
    """The unrestricted model, with the scores closed by a hook in each layer."""
    plain = SortTransformer(replace(model.config, sight="all"))
    plain.load_state_dict(model.state_dict())
    blocked = own_blocked(model.config)

    def close(scores, hook):
        scores = scores.clone()
        for query, key in blocked.nonzero().tolist():
            scores[:, :, query, key] = -torch.inf
        return scores

    hooks = [(scores_hook(layer), close) for layer in range(plain.cfg.n_layers)]
    return plain.run_with_hooks(tokens, fwd_hooks=hooks)


@all_sights
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_hooked_packed_and_literal_passes_agree(sight, norm):
    model, batch = a_model(sight, norm), some_lists()
    real = batch.tokens != PAD
    hooked, expected = model(batch.tokens), literal_pass(model, batch.tokens)
    torch.testing.assert_close(hooked[real], expected[real], atol=1e-5, rtol=0)
    for digits_only in (True, False):
        view = window(TASK, batch, digits_only)
        packed = packed_logits(model, batch.tokens, view)
        kept = real[:, view.rows]
        torch.testing.assert_close(packed[kept], hooked[:, view.rows][kept], atol=1e-5, rtol=0)
    free = a_model("all", norm)(batch.tokens)
    assert (free - hooked)[real].abs().max() > 0.05  # positive control: the restriction matters


@all_sights
def test_a_mask_of_the_caller_comes_on_top(sight):
    model, batch = a_model(sight), some_lists()
    extra = torch.zeros(TASK.n_ctx, TASK.n_ctx, dtype=torch.bool)
    extra[TASK.first_output_row :, TASK.sep_pos] = True
    view = window(TASK, batch)
    both = extra | own_blocked(model.config)
    plain = a_model("all")
    kept = (batch.tokens != PAD)[:, view.rows]
    got = packed_logits(model, batch.tokens, view, blocked=extra)[kept]
    expected = packed_logits(plain, batch.tokens, view, blocked=both)[kept]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@all_sights
def test_decoding_with_a_cache_gives_what_one_pass_gives(sight):
    """Step by step with a KV cache, along the model's own answers."""
    model = a_model(sight)
    lists = [[3, 1, 4, 1], [5], [9, 2, 6]]
    decoded = greedy_decode(model, lists)
    batch = TASK.encode(lists)
    tokens = batch.tokens.clone()
    for row, answer in zip(tokens, decoded.lists, strict=True):
        given = torch.tensor(answer)
        row[TASK.first_output_row + 1 : TASK.first_output_row + 1 + len(answer)] = given
    probabilities = model(tokens).softmax(-1)[:, TASK.first_output_row :]
    for one, other, values in zip(decoded.probabilities, probabilities, lists, strict=True):
        steps = len(values)
        torch.testing.assert_close(one[:steps], other[:steps], atol=1e-5, rtol=0)


@all_sights
def test_a_prefix_split_anywhere_gives_the_same_logits(sight):
    """A cache filled in two pieces: the second one's queries start in the middle."""
    from transformer_lens import TransformerLensKeyValueCache

    model = a_model(sight)
    tokens = TASK.encode([[3, 1, 4, 1], [5, 0, 2, 2]]).tokens
    whole = model(tokens)
    for cut in range(1, TASK.n_ctx):
        cache = TransformerLensKeyValueCache.init_cache(model.cfg, "cpu", len(tokens))
        parts = [model(tokens[:, :cut], past_kv_cache=cache)]
        parts.append(model(tokens[:, cut:], past_kv_cache=cache))
        torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


@all_sights
def test_closed_scores_are_minus_infinity_and_closed_attention_is_0(sight):
    model, blocked = a_model(sight), own_blocked(ModelConfig(task=TASK, sight=sight))
    _, cache = model.run_with_cache(TASK.encode([[3, 1, 4, 1], [5, 0, 2, 2]]).tokens)
    future = torch.ones(TASK.n_ctx, TASK.n_ctx, dtype=torch.bool).triu(1)
    for layer in range(2):
        scores, pattern = cache[scores_hook(layer)], cache[pattern_hook(layer)]
        assert bool((scores[:, :, blocked] == -torch.inf).all())
        assert bool((pattern[:, :, blocked] == 0).all())
        assert bool((pattern[:, :, ~(blocked | future)] > 0).all())


def test_through_the_bottleneck_only_blanks_carry_the_list():
    """Given the same blanks, outputs cannot tell one list from another."""
    model = a_model("outputs-not-digits")
    tokens = TASK.encode([[3, 1, 4, 1], [5, 0, 2, 2]]).tokens
    tokens[1, TASK.first_output_row + 1 :] = tokens[0, TASK.first_output_row + 1 :]
    first, blanks = TASK.first_output_row, slice(TASK.sep_pos + 1, TASK.first_output_row)

    def same(value, hook):
        value = value.clone()
        value[1, blanks] = value[0, blanks]
        return value

    free = model(tokens)[:, first:]
    forced = model.run_with_hooks(tokens, fwd_hooks=[("blocks.1.hook_resid_pre", same)])[:, first:]
    torch.testing.assert_close(forced[0], forced[1], atol=1e-6, rtol=0)
    assert (free[0] - free[1]).abs().max() > 0.01  # positive control


def test_blanks_that_see_no_digits_hold_nothing_of_the_list():
    model = a_model("blanks-not-digits")
    tokens = TASK.encode([[3, 1, 4, 1], [5, 0, 2, 2]]).tokens
    blanks = slice(TASK.sep_pos + 1, TASK.first_output_row)
    _, cache = model.run_with_cache(tokens)
    held = cache["blocks.1.hook_resid_pre"]
    assert torch.equal(held[0, blanks], held[1, blanks])
    assert not torch.allclose(held[0, TASK.first_output_row], held[1, TASK.first_output_row])


# -- on disk ------------------------------------------------------------------------------------


@all_sights
def test_a_restricted_model_comes_back(sight, tmp_path):
    model = a_model(sight)
    save_model(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m")
    assert loaded.model.config.sight == sight
    assert list(loaded.model.state_dict()) == list(model.state_dict())
    tokens = some_lists().tokens
    real = tokens != PAD
    assert torch.equal(loaded.model(tokens)[real], model(tokens)[real])
    save_model(tmp_path / "free", a_model("all"))
    assert (tmp_path / "free" / "model.safetensors").read_bytes() == (
        tmp_path / "m" / "model.safetensors"
    ).read_bytes()
    assert content_hash(tmp_path / "free") != loaded.hash  # it computes something else


def test_old_models_keep_their_config_and_hash(tmp_path):
    """Models made before there were restrictions have a hash of their own on record."""
    blanks = find_checkpoint("blanks")
    recorded = json.loads((blanks / "evaluation.json").read_text())["model"]["hash"]
    assert content_hash(blanks) == recorded
    assert "sight" not in ModelConfig().to_dict()
    assert ModelConfig.from_dict(ModelConfig().to_dict()).sight == "all"
    restricted = ModelConfig(sight="blanks-not-digits")
    assert ModelConfig.from_dict(restricted.to_dict()) == restricted


# -- training -----------------------------------------------------------------------------------


@all_sights
def test_training_sees_what_the_model_sees(sight):
    trainer = Trainer(TrainConfig(**SMALL, sight=sight))
    trainer.update()
    model, batch = trainer.model, trainer.batch(1)
    _, metrics = trainer.gradients(batch, measure=True)
    targets = model.task.targets(batch.tokens)
    scored = model.task.scored(batch.tokens)
    losses = -model(batch.tokens).log_softmax(-1).gather(-1, targets.clamp(max=11)[..., None])
    expected = losses[..., 0][scored].sum() / (len(batch) * model.task.n_target_rows)
    assert metrics.loss == pytest.approx(expected.item(), rel=1e-5)
    assert trainer.config.label() == f"stable-blanks-{sight}-len4-s0"


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_without_the_loss_on_blanks_the_gradient_loses_their_part(dropout):
    config = TrainConfig(**SMALL, dropout=dropout, blank_loss=False)
    trainer = Trainer(config)
    batch, task, model = trainer.batch(0), trainer.model.task, trainer.model
    targets = task.targets(batch.tokens)
    digits = task.scored_digits(batch.tokens)
    gradients, metrics = trainer.gradients(batch, measure=True)
    scores = score(model, batch)
    assert metrics.digit_accuracy == pytest.approx(float(scores.right.sum() / scores.scored.sum()))
    if dropout:
        return
    losses = -model(batch.tokens).log_softmax(-1).gather(-1, targets.clamp(max=11)[..., None])
    expected = losses[..., 0][digits].sum() / (len(batch) * task.n_target_rows)
    assert metrics.loss == pytest.approx(expected.item(), rel=1e-5)
    literal = torch.autograd.grad(expected, list(model.parameters()))
    largest = max(g.abs().max() for g in literal)
    for got, wanted in zip(gradients, literal, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5 * float(largest), rtol=0)
    assert config.label() == "stable-blanks-no-blank-loss-len4-s0"


def test_the_original_recipe_can_be_normalised_before():
    """PyTorch's first weights do not depend on where blocks normalise."""
    post, pre = (
        Trainer(replace(ORIGINAL, **SMALL, norm=norm)).model.state_dict()
        for norm in ("post", "pre")
    )
    assert set(pre) - set(post) == {"ln_final.w", "ln_final.b"}
    assert all(torch.equal(pre[name], tensor) for name, tensor in post.items())
    assert pre["ln_final.w"].eq(1).all() and pre["ln_final.b"].eq(0).all()
