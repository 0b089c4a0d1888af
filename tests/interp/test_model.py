"""The model against PyTorch's own encoder, against slow literal code, and against itself."""

import math

import pytest
import torch
from torch import nn
from transformer_lens import HookedTransformer, TransformerLensKeyValueCache

from interp.algoformer import ReferenceModel, copy_weights
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import BLANK, PAD, SEP, SortTask

TASKS = {
    "blanks": SortTask(5, 6),
    "no blanks": SortTask(5, 0),
    "offset": SortTask(5, 0, 6),
}
SIZES = {"d_model": 12, "n_heads": 3, "d_head": 4, "d_mlp": 24}

all_tasks = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
all_norms = pytest.mark.parametrize("norm", ["pre", "post", "none"])


def scrambled(module: nn.Module, scale: float = 0.4) -> nn.Module:
    """Every parameter random, biases and gains included, so that no term is 0 or 1 by luck."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.normal_(0.0, scale, generator=stream("test", name))
            is_gain = name.endswith((".w", "norm1.weight", "norm2.weight"))
            parameter.add_(1.0 if is_gain else 0.0)
    return module.eval()


def a_model(task: SortTask, **options) -> SortTransformer:
    return scrambled(SortTransformer(ModelConfig(task=task, **{**SIZES, **options})))


def assert_near(got: torch.Tensor, expected: torch.Tensor, rounding: float = 2e-5) -> None:
    """Equal up to float32 rounding, relative to the largest value."""
    atol = rounding * float(expected.detach().abs().max())
    torch.testing.assert_close(got, expected.to(got.dtype), atol=atol, rtol=0)


def lists_of(task: SortTask, n_lists: int = 9) -> torch.Tensor:
    """One list of every length at least."""
    return task.held_out(n_lists).tokens


# -- against PyTorch ----------------------------------------------------------------------------


class PlainEncoder(nn.Module):
    """The published network, written down once more from its description."""

    def __init__(self, task: SortTask, d_model: int, n_heads: int, d_mlp: int) -> None:
        super().__init__()
        self.task, self.d_model, self.n_heads = task, d_model, n_heads
        self.embedding = nn.Linear(12, d_model)
        layer = nn.TransformerEncoderLayer(d_model, n_heads, d_mlp, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.decoder = nn.Linear(d_model, 12)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        inputs, tables, masks = [], [], []
        for sequence in tokens.tolist():
            inputs.append([[float(max(t % 12, 0) == v) for v in range(12)] for t in sequence])
            tables.append([self.sinusoid(p) for p in range(len(sequence))])
            masks += [self.mask(sequence)] * self.n_heads
        x = self.embedding(torch.tensor(inputs)) + torch.tensor(tables)
        return self.decoder(self.encoder(x, mask=torch.tensor(masks))).log_softmax(-1)

    def sinusoid(self, place: int) -> list[float]:
        p = place + self.task.pos_offset if place > self.task.max_len else place
        angles = [p / 10_000 ** (2 * i / self.d_model) for i in range(self.d_model // 2)]
        return [f(a) for a in angles for f in (math.sin, math.cos)]

    def mask(self, sequence: list[int]) -> list[list[bool]]:
        """True where attention is forbidden. A padded row must see something: itself."""
        left = next(i for i, token in enumerate(sequence) if token != PAD)
        places = range(len(sequence))
        return [[k > q or (k < left and k != q) for k in places] for q in places]


@all_tasks
@pytest.mark.parametrize("embed_bias", [True, False])
def test_post_norm_is_an_nn_transformer_encoder(task, embed_bias):
    plain = scrambled(PlainEncoder(task, 20, 5, 40))
    config = ModelConfig(
        task=task, d_model=20, n_heads=5, d_head=4, d_mlp=40, norm="post", embed_bias=embed_bias
    )
    model = SortTransformer(config)
    copy_weights(model, plain.state_dict())
    tokens = lists_of(task)
    real = tokens != PAD
    ours, theirs = model(tokens).log_softmax(-1)[real], plain(tokens)[real]
    assert theirs.std() > 0.5  # the weights do something
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@all_tasks
def test_the_reference_model_is_that_network(task):
    plain = scrambled(PlainEncoder(task, 20, 5, 40))
    config = ModelConfig(task=task, d_model=20, n_heads=5, d_head=4, d_mlp=40, norm="post")
    reference = ReferenceModel(config).eval()
    reference.load_state_dict(plain.state_dict(), strict=False)  # the table of positions is its own
    tokens = lists_of(task)
    real = tokens != PAD
    torch.testing.assert_close(reference(tokens)[real], plain(tokens)[real], atol=1e-5, rtol=0)


def test_the_published_size_has_the_published_number_of_parameters():
    config = ModelConfig(norm="post", embed_bias=True)
    assert sum(p.numel() for p in ReferenceModel(config).parameters()) == 907_608
    ours = sum(p.numel() for p in SortTransformer(config).parameters())
    assert ours == 907_608 + 100  # and an embedding of PAD


# -- against slow code --------------------------------------------------------------------------


def slow_logits(model: SortTransformer, sequence: list[int]) -> torch.Tensor:
    """One list, position by position and head by head, in float64."""
    w = {name: p.double() for name, p in model.state_dict().items()}
    config, task = model.config, model.task
    table = [] if config.positions == "sinusoidal" else w["pos_embed.W_pos"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        spread = ((x - x.mean()) ** 2).mean()
        return (x - x.mean()) / (spread + 1e-5).sqrt() * w[f"{name}.w"] + w[f"{name}.b"]

    def position(place: int) -> torch.Tensor:
        if config.positions == "learned":
            return table[place]
        p = place + task.pos_offset if place > task.max_len else place
        angles = [p / 10_000 ** (2 * i / config.d_model) for i in range(config.d_model // 2)]
        return torch.tensor([f(a) for a in angles for f in (math.sin, math.cos)]).double()

    def attend(xs: dict[int, torch.Tensor], query_at: int, at: str) -> torch.Tensor:
        out = w[f"{at}.b_O"].clone()
        for head in range(config.n_heads):
            q, k, v = (
                {p: x @ w[f"{at}.W_{n}"][head] + w[f"{at}.b_{n}"][head] for p, x in xs.items()}
                for n in "QKV"
            )
            seen = [p for p in xs if p <= query_at]
            scores = torch.stack([q[query_at] @ k[p] / math.sqrt(config.d_head) for p in seen])
            z = sum(a * v[p] for a, p in zip(scores.softmax(0), seen, strict=True))
            out += z @ w[f"{at}.W_O"][head]
        return out

    def mlp(x: torch.Tensor, at: str) -> torch.Tensor:
        hidden = (x @ w[f"{at}.W_in"] + w[f"{at}.b_in"]).clamp(min=0)
        return hidden @ w[f"{at}.W_out"] + w[f"{at}.b_out"]

    bias = w.get("embed.b_E", 0.0)
    # Only real positions exist here: nothing can leak from padding.
    xs = {p: w["embed.W_E"][t] + bias + position(p) for p, t in enumerate(sequence) if t != PAD}
    for at in ("blocks.0", "blocks.1"):
        if config.norm == "post":
            xs = {p: norm(x + attend(xs, p, f"{at}.attn"), f"{at}.ln1") for p, x in xs.items()}
            xs = {p: norm(x + mlp(x, f"{at}.mlp"), f"{at}.ln2") for p, x in xs.items()}
            continue
        pre = norm if config.norm == "pre" else lambda x, _: x
        ys = {p: pre(x, f"{at}.ln1") for p, x in xs.items()}
        xs = {p: x + attend(ys, p, f"{at}.attn") for p, x in xs.items()}
        xs = {p: x + mlp(pre(x, f"{at}.ln2"), f"{at}.mlp") for p, x in xs.items()}
    if config.norm == "pre":
        xs = {p: norm(x, "ln_final") for p, x in xs.items()}
    return torch.stack([x @ w["unembed.W_U"] + w["unembed.b_U"] for x in xs.values()])


@all_tasks
@all_norms
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_the_forward_pass_is_what_it_says(task, norm, positions):
    model = a_model(task, norm=norm, positions=positions, embed_bias=positions == "learned")
    tokens = lists_of(task, 5)
    logits = model(tokens)
    for sequence, row in zip(tokens, logits, strict=True):
        expected = slow_logits(model, sequence.tolist())
        got = row[sequence != PAD].double()
        assert_near(got, expected)


# -- against itself -----------------------------------------------------------------------------


@all_norms
def test_every_way_to_run_it_agrees(norm):
    model, tokens = a_model(TASKS["blanks"], norm=norm), lists_of(TASKS["blanks"])
    assert isinstance(model, HookedTransformer)
    plain = model(tokens)
    cached, cache = model.run_with_cache(tokens)
    seen = {}
    hooks = [("blocks.1.hook_resid_pre", lambda x, hook: seen.update({hook.name: x.clone()}))]
    hooked = model.run_with_hooks(tokens, fwd_hooks=hooks)
    assert torch.equal(plain, cached)
    assert torch.equal(plain, hooked)
    assert torch.equal(seen["blocks.1.hook_resid_pre"], cache["blocks.1.hook_resid_pre"])


@all_norms
def test_a_hook_changes_what_comes_after_it(norm):
    model, tokens = a_model(TASKS["blanks"], norm=norm), lists_of(TASKS["blanks"])
    _, cache = model.run_with_cache(tokens)

    def halve_output_row(x, hook):
        x = x.clone()
        x[:, -1] *= 0.5
        return x

    hooks = [("blocks.0.hook_mlp_out", halve_output_row)]
    with model.hooks(fwd_hooks=hooks):
        logits, hooked = model.run_with_cache(tokens)
    assert torch.equal(logits[:, :-1], model(tokens)[:, :-1])  # causal: nothing before it
    assert not torch.allclose(logits[:, -1], model(tokens)[:, -1])
    half = cache["blocks.0.hook_mlp_out"][:, -1] * 0.5
    assert torch.equal(hooked["blocks.0.hook_mlp_out"][:, -1], half)
    assert torch.equal(model(tokens), model.run_with_cache(tokens)[0])  # and it is gone


def layer_norm(x: torch.Tensor, ln: nn.Module) -> torch.Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * ln.w + ln.b


def test_post_norm_hooks_name_what_they_hold():
    model, tokens = a_model(TASKS["blanks"], norm="post"), lists_of(TASKS["blanks"])
    logits, cache = model.run_with_cache(tokens)
    for layer, block in enumerate(model.blocks):
        name = f"blocks.{layer}"
        before = cache[f"{name}.hook_resid_pre"]
        middle = layer_norm(before + cache[f"{name}.hook_attn_out"], block.ln1)
        after = layer_norm(middle + cache[f"{name}.hook_mlp_out"], block.ln2)
        torch.testing.assert_close(cache[f"{name}.hook_resid_mid"], middle)
        torch.testing.assert_close(cache[f"{name}.hook_resid_post"], after)
        heads = torch.einsum("bqhd,hdm->bqm", cache[f"{name}.attn.hook_z"], block.attn.W_O)
        torch.testing.assert_close(cache[f"{name}.hook_attn_out"], heads + block.attn.b_O)
    assert torch.equal(cache["blocks.1.hook_resid_pre"], cache["blocks.0.hook_resid_post"])
    last = cache["blocks.1.hook_resid_post"]
    torch.testing.assert_close(logits, last @ model.W_U + model.b_U)


def test_post_norm_has_the_hooks_of_pre_norm():
    post, pre = (a_model(TASKS["blanks"], norm=norm) for norm in ("post", "pre"))
    missing = set(pre.hook_dict) - set(post.hook_dict)
    assert missing == {"ln_final.hook_scale", "ln_final.hook_normalized"}
    assert set(post.hook_dict) <= set(pre.hook_dict)


@all_norms
def test_the_inputs_of_heads_can_be_hooked_apart(norm):
    model, tokens = a_model(TASKS["blanks"], norm=norm), lists_of(TASKS["blanks"])
    plain = model(tokens)
    for use in ("set_use_split_qkv_input", "set_use_attn_in", "set_use_hook_mlp_in"):
        getattr(model, use)(True)
        assert_near(model(tokens), plain)
        getattr(model, use)(False)
    model.set_use_split_qkv_input(True)

    def without(x, hook):
        x = x.clone()
        x[:, :, 1] = 0  # head 1 gets a query of nothing but its bias
        return x

    _, cache = model.run_with_cache(tokens)
    with model.hooks(fwd_hooks=[("blocks.1.hook_q_input", without)]):
        _, changed = model.run_with_cache(tokens)
    same = cache["blocks.1.attn.hook_q"] - changed["blocks.1.attn.hook_q"]
    assert same[:, :, [0, 2]].abs().max() == 0
    assert same[:, :, 1].abs().max() > 0.1
    assert torch.equal(cache["blocks.1.attn.hook_k"], changed["blocks.1.attn.hook_k"])


@all_norms
@all_tasks
def test_left_padding_is_never_attended_to(task, norm):
    model, tokens = a_model(task, norm=norm), lists_of(task)
    logits, cache = model.run_with_cache(tokens)
    slots = torch.arange(task.n_ctx) < task.sep_pos
    left = (tokens == PAD) & slots
    assert left.any()
    for layer in range(2):
        pattern = cache[f"blocks.{layer}.attn.hook_pattern"]
        to_padding = pattern * (left[:, None, None, :] & ~left[:, None, :, None])
        assert to_padding.abs().max() == 0
        sums = pattern.sum(-1)[(~left)[:, None].expand(pattern.shape[:3])]
        torch.testing.assert_close(sums, torch.ones_like(sums))
    with torch.no_grad():
        model.embed.W_E[PAD] += 100.0
    real = tokens != PAD
    assert torch.equal(model(tokens)[real], logits[real])


def test_padding_takes_up_positions():
    """The parent shifts positions so that they start at the list; here they are absolute."""
    task = SortTask(4, 2)
    model = a_model(task, positions="learned")
    tokens = task.encode([[5, 5, 5, 5], [5]]).tokens
    _, cache = model.run_with_cache(tokens)
    for added in cache["hook_pos_embed"]:
        assert torch.equal(added, model.pos_embed.W_pos)


def test_an_offset_shifts_what_follows_sep():
    shifted = a_model(SortTask(4, 0, 5)).pos_embed.W_pos
    with_blanks = a_model(SortTask(4, 5)).pos_embed.W_pos
    assert torch.equal(shifted, with_blanks[[0, 1, 2, 3, 4, 10, 11, 12, 13]])


@all_norms
@all_tasks
def test_decoding_with_a_cache_is_the_full_forward_pass(task, norm):
    model, tokens = a_model(task, norm=norm), lists_of(task)
    full = model(tokens)
    cache = TransformerLensKeyValueCache.init_cache(model.cfg, "cpu", len(tokens))
    pieces = [model(tokens[:, : task.prompt_len], past_kv_cache=cache)]
    for position in range(task.prompt_len, task.n_ctx):
        pieces.append(model(tokens[:, position : position + 1], past_kv_cache=cache))
    real = tokens != PAD
    assert_near(torch.cat(pieces, 1)[real], full[real])


@all_norms
def test_it_can_start_from_a_residual_stream(norm):
    model, tokens = a_model(TASKS["blanks"], norm=norm), lists_of(TASKS["blanks"])
    resid = model(tokens, stop_at_layer=1)
    real = tokens != PAD
    resumed = model(resid, start_at_layer=1, tokens=tokens)
    assert_near(resumed[real], model(tokens)[real])
    with pytest.raises(UserError, match=r"needs tokens=\.\.\. as well"):
        model(resid, start_at_layer=1)


# -- first weights ------------------------------------------------------------------------------


def test_a_seed_decides_every_weight():
    one, same, other = (SortTransformer(ModelConfig(**SIZES), seed=s) for s in (1, 1, 2))
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, same.state_dict()[name])
        if ".W_" in name:
            assert not torch.equal(parameter, other.state_dict()[name])


def test_arms_start_from_the_same_weights():
    with_blanks = SortTransformer(ModelConfig(task=SortTask(5, 6), **SIZES)).state_dict()
    without = SortTransformer(ModelConfig(task=SortTask(5, 0), norm="post", **SIZES)).state_dict()
    assert all(torch.equal(without[name], with_blanks[name]) for name in without)


def test_first_weights_have_the_stated_scales():
    state = SortTransformer(ModelConfig()).state_dict()
    assert state["embed.W_E"][:PAD].std() == pytest.approx(1.0, abs=0.1)
    assert (state["embed.W_E"][PAD] == 0).all()
    for name in ("blocks.0.mlp.W_in", "blocks.1.mlp.W_out", "blocks.1.attn.W_Q"):
        assert state[name].std() == pytest.approx(0.08, rel=0.05)
    assert all((t == 0).all() for name, t in state.items() if ".b" in name)
    assert all((t == 1).all() for name, t in state.items() if name.endswith(".w"))


def test_first_weights_do_not_depend_on_what_was_drawn_before():
    torch.manual_seed(0)
    one = SortTransformer(ModelConfig(**SIZES)).state_dict()
    torch.manual_seed(1)
    other = SortTransformer(ModelConfig(**SIZES)).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[3, 13]], "13 is no token: digits are 0 to 9, then 10 = SEP, 11 = _, 12 = PAD"),
        ([[-1, 3]], "-1 is no token"),
        ([[3, PAD, 1, SEP]], "padding in the middle of a sequence"),
        ([[PAD, 3, PAD, 1]], "padding in the middle of a sequence"),
        ([[1, 2, 3, 4], [3, PAD, PAD, 1]], "padding in the middle of a sequence"),
        ([[1] * 18], "has 18 positions; this model takes at most 17 (lists of 1 to 5 digits, 6 b"),
    ],
)
def test_what_cannot_be_right_is_refused(tokens, message):
    with pytest.raises(UserError) as caught:
        a_model(TASKS["blanks"])(torch.tensor(tokens))
    assert message in str(caught.value)


def test_a_cache_counts_towards_the_length():
    model = a_model(SortTask(1, 1))
    cache = TransformerLensKeyValueCache.init_cache(model.cfg, "cpu", 1)
    model(torch.tensor([[5, SEP, BLANK]]), past_kv_cache=cache)
    with pytest.raises(UserError, match="the sequence has 5 positions"):
        model(torch.tensor([[5, 5]]), past_kv_cache=cache)


@pytest.mark.parametrize("prefix", [1, 3, 7, 17])
def test_prefixes_and_padding_at_both_ends_are_fine(prefix):
    task = TASKS["blanks"]
    model, tokens = a_model(task), lists_of(task)
    real = tokens[:, :prefix] != PAD
    shorter, full = model(tokens[:, :prefix]), model(tokens)[:, :prefix]
    assert_near(shorter[real], full[real])


@pytest.mark.usefixtures("unchecked")
def test_one_list_needs_no_batch():
    model, tokens = a_model(TASKS["blanks"]), lists_of(TASKS["blanks"])
    assert_near(model(tokens[0]), model(tokens)[:1])


@pytest.mark.usefixtures("unchecked")
def test_text_is_no_input():
    with pytest.raises(UserError, match="must be a tensor of tokens"):
        a_model(TASKS["blanks"])("3,1,4")
    with pytest.raises(UserError, match="must be a tensor of tokens"):
        a_model(TASKS["blanks"])(torch.zeros(1, 3))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_heads": 0}, "n_heads must be at least 1, not 0"),
        ({"norm": "middle"}, "norm must be one of pre, post, none, not 'middle'"),
        ({"positions": "rotary"}, "positions must be one of sinusoidal, learned"),
        ({"d_model": 11}, "sinusoidal positions need an even d_model, not 11"),
    ],
)
def test_an_impossible_architecture_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        ModelConfig(**options)
