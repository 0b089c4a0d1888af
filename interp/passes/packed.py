"""The same forward pass, without the work that nothing reads.

``SortTransformer.forward`` computes all 146 positions, with a hook on everything. To train or to
score thousands of lists that is mostly waste, and :func:`packed_logits` leaves out what cannot
change the result:

- padding: lists of similar length are run together, cut to the longest (``length_sorted``);
- the rows of the last layer that no scored output reads (only their keys and values are used);
- the MLP's intermediate results in main memory: it runs in blocks that stay in the cache.

Where hooks are on the model it goes through them, and saves nothing.

The logits equal those of the model to rounding, and so do the gradients; the tests hold both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from interp.config import Norm
from interp.passes.activations import is_relu, neurons
from interp.passes.hooked import run_hooked
from interp.passes.untouched import refuse_touched, touch
from interp.sites import Component
from interp.support.errors import UserError
from interp.task import NO_LISTS, SortBatch, SortTask
from interp.transformer import Transformer

_BLOCK_ROWS = 256  # rows of the MLP at a time: 256 x 2048 floats are 2 MB, about a core's cache


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout where ``nn.TransformerEncoderLayer`` has it, from a stream of its own."""

    p: float
    generator: torch.Generator
    mlp_out: bool = field(default=True, kw_only=True)
    """Whether it acts on what an MLP adds to the stream, too, as published."""

    @classmethod
    def as_trained(cls, info: Mapping[str, Any], generator: torch.Generator) -> Dropout | None:
        """That of the recipe in the ``config.json`` of some weights; None of those without any."""
        recipe = info.get("training", {})
        p = float(recipe.get("dropout", 0.0))
        return cls(p, generator, mlp_out=recipe.get("drop_mlp_out", True)) if p else None

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.mask(x)

    @property
    def scale(self) -> float:
        """What is kept is multiplied by this, so that the mean stays."""
        on_cpu = self.generator.device.type == "cpu"
        return 1 / (1 - (self.threshold / _STEPS if on_cpu else self.p))

    def mask(self, like: Tensor) -> Tensor:
        """0 where dropped, else ``scale``, in the shape of ``like``."""
        if self.generator.device.type != "cpu":
            keep = torch.empty_like(like).bernoulli_(1 - self.p, generator=self.generator)
            return keep.mul_(self.scale)
        # A 16-bit number each, cut from 64-bit draws, costs half of what ``bernoulli_`` does; the
        # probability is then a multiple of 1/65536.
        draws = torch.empty(-(-like.numel() // 4), dtype=torch.int64)
        draws.random_(-(2**63), None, generator=self.generator)
        numbers = draws.view(torch.int16)[: like.numel()].view(like.shape)
        keep = numbers >= self.threshold - _STEPS // 2
        return keep.to(like.dtype).mul_(self.scale)

    @property
    def threshold(self) -> int:
        return min(round(self.p * _STEPS), _STEPS - 1)


_STEPS = 2**16
_LISTS_THROUGH_HOOKS = 512  # their hooked pass takes about 2 GB


def length_sorted(batch: SortBatch, n_parts: int) -> Iterator[Int[Tensor, " some"]]:
    """Indices of ``batch`` in ``n_parts`` groups of similar length, longest first."""
    order = batch.lengths.argsort(descending=True, stable=True)
    yield from (part for part in order.tensor_split(n_parts) if len(part))


def parts_of(
    model: Transformer, batch: SortBatch, at_once: int, in_order: bool = False
) -> Iterator[Int[Tensor, " some"]]:
    """Indices of ``batch`` in groups to run together, of at most about ``at_once`` lists.

    By length where that changes nothing; in the order of the batch, and in large groups, where
    something on the model may depend on which list is which.

    Args:
        in_order: all lists in one group, as for values given list by list.
    """
    if not len(batch):
        raise UserError(NO_LISTS)
    if in_order:
        yield torch.arange(len(batch))
    elif touch(model):
        yield from torch.arange(len(batch)).split(_LISTS_THROUGH_HOOKS)
    else:
        yield from length_sorted(batch, -(-len(batch) // at_once))


@dataclass(frozen=True)
class Window:
    """The positions that a group of lists needs: from its longest list to its last output row."""

    task: SortTask
    longest: int
    first_row: int  # the first scored position: SEP, or the first output row

    @property
    def start(self) -> int:
        return self.task.max_len - self.longest

    @property
    def stop(self) -> int:
        return self.task.first_output_row + self.n_outputs

    @property
    def n_outputs(self) -> int:
        """Output rows, of lists with the longest answers."""
        return self.task.n_outputs(self.longest)

    @property
    def rows(self) -> slice:
        """The scored rows within the full sequence."""
        return slice(self.first_row, self.stop)


def window(task: SortTask, batch: SortBatch, digits_only: bool = False) -> Window:
    """What to compute for ``batch``; ``digits_only`` leaves out the rows that predict BLANK.

    Raises:
        UserError: if there is no list, or they are laid out for another task.
    """
    if len(batch) and (
        batch.tokens.shape[1] != task.n_ctx or int(batch.tokens[0, task.sep_pos]) != task.sep
    ):
        raise UserError(f"these lists are not laid out for {task}: encode them by the model's task")
    first = task.first_output_row if digits_only else task.sep_pos
    return Window(task, batch.longest, first)


def packed_logits(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    dropout: Dropout | None = None,
    blocked: Bool[Tensor, "query key"] | None = None,
) -> Float[Tensor, "batch row d_vocab_out"]:
    """Logits at ``view.rows`` of full sequences, equal to ``model(tokens)[:, view.rows]``.

    Args:
        tokens: full sequences, none longer than ``view.longest``.
        dropout: applied where the published model has it; None computes the model itself.
        blocked: [n_ctx, n_ctx], True where a query may not attend to a key, on top of the model's
            own mask; used in every layer.

    Raises:
        UserError: with ``dropout``, where something acts on the model: its own pass has none.
    """
    if not len(tokens):
        raise UserError(NO_LISTS)
    if found := touch(model):
        if dropout is not None:
            raise UserError(f"training with dropout would ignore {found}: take it away first")
        return _through_hooks(model, tokens, blocked)[:, view.rows]
    return read_out(model, _last_two(model, tokens, view, dropout, blocked)[1])


def packed_logits_and_before(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    dropout: Dropout | None = None,
) -> tuple[Float[Tensor, "batch row d_vocab_out"], Float[Tensor, "batch row d_vocab_out"]]:
    """As :func:`packed_logits`, and what the stream before the last layer would say at the same
    rows: all that the last layer can read there.

    Raises:
        UserError: where something acts on the model.
    """
    refuse_touched(model, "a pass that is read before its last layer")
    before, last = _last_two(model, tokens, view, dropout)
    return read_out(model, last), read_out(model, before)


def _last_two(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    dropout: Dropout | None = None,
    blocked: Bool[Tensor, "query key"] | None = None,
) -> tuple[Float[Tensor, "batch row d_model"], Float[Tensor, "batch row d_model"]]:
    """The stream before the last layer and after it, at ``view.rows``."""
    config = model.config
    tokens = tokens[:, view.start : view.stop]
    allowed = allowed_attention(model, tokens, view, blocked)
    x = embed(model, tokens, view)
    x = dropout(x) if dropout else x
    for layer, block in enumerate(model.blocks):
        # Before the last layer every position is read by a later one; in it only scored rows are.
        skipped = view.first_row - view.start if layer == config.n_layers - 1 else 0
        before = x
        x = run_block(x, block, config.norm, allowed[:, :, skipped:], skipped, dropout)
    n_rows = view.stop - view.first_row
    return before[:, before.shape[1] - n_rows :], x[:, x.shape[1] - n_rows :]


def _through_hooks(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    blocked: Bool[Tensor, "query key"] | None,
) -> Float[Tensor, "batch pos d_vocab_out"]:
    places = [(Component.SCORES, layer) for layer in range(model.cfg.n_layers)]
    changes = (
        {}
        if blocked is None
        else {place: [lambda scores: scores.masked_fill(blocked, -torch.inf)] for place in places}
    )
    return run_hooked(model, tokens, changes)[0]


def embed(
    model: Transformer, tokens: Int[Tensor, "batch here"], view: Window
) -> Float[Tensor, "batch here d_model"]:
    """The first residual stream, of tokens already cut to ``view``."""
    return model.embed.effective()[tokens] + model.pos_embed.W_pos[view.start : view.stop]


def unembed(
    model: Transformer, x: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_vocab_out"]:
    """Logits of the last residual stream, the final LayerNorm of a pre-norm model included.

    Raises:
        UserError: where something acts on that LayerNorm or on the unembedding.
    """
    refuse_touched(model, "what a stream says", ("ln_final", "unembed"))
    return read_out(model, x)


def read_out(
    model: Transformer, x: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_vocab_out"]:
    """As :func:`unembed`, for a pass that has asked already what acts on the model."""
    if model.config.norm == "pre":  # the others have no final LayerNorm
        x = _layer_norm(x, model.ln_final)
    return F.linear(x, model.unembed.W_U.T, model.unembed.b_U)


def allowed_attention(
    model: Transformer,
    tokens: Int[Tensor, "batch here"],
    view: Window,
    blocked: Bool[Tensor, "query key"] | None = None,
    *,
    rest_on_padding: bool = True,
) -> Bool[Tensor, "batch 1 here here"]:
    """Who may attend to whom in ``model``, of tokens already cut to ``view``.

    Causality, padding and the model's own ``sight``; and ``blocked`` [n_ctx, n_ctx] on top.

    Args:
        rest_on_padding: padded rows see themselves, which no softmax can go wrong on; the model's
            own see nothing, and gather nothing, which matters only where something reads them.
    """
    own = model.blocked
    if own is not None:
        blocked = own if blocked is None else own | blocked
    return attention_mask(tokens, view, blocked, rest_on_padding=rest_on_padding)


def attention_mask(
    tokens: Int[Tensor, "batch here"],
    view: Window,
    blocked: Bool[Tensor, "query key"] | None = None,
    *,
    rest_on_padding: bool = True,
) -> Bool[Tensor, "batch 1 here here"]:
    """Causality, padding and ``blocked`` alone; :func:`allowed_attention` knows a model's own."""
    size = tokens.shape[1]
    causal = torch.ones(size, size, dtype=torch.bool, device=tokens.device).tril()
    if blocked is not None:
        causal = causal & ~blocked[view.start : view.stop, view.start : view.stop]
    real = (tokens != view.task.pad)[:, None, :]  # [batch, 1, key]
    if not rest_on_padding:
        return (causal & real)[:, None]
    # A padded row sees itself: softmax over nothing would be NaN, and nothing reads that row.
    own = torch.eye(size, dtype=torch.bool, device=tokens.device) & ~real
    return ((causal & real) | own)[:, None]


def norm_before(x: Tensor, layer_norm: Any, norm: Norm) -> Tensor:
    """What a part of a block reads: normalised in a pre-norm model, as it is in others."""
    return _layer_norm(x, layer_norm) if norm == "pre" else x


def norm_after(x: Tensor, layer_norm: Any, norm: Norm) -> Tensor:
    """The stream after a part was added: normalised in a post-norm model, as it is in others."""
    return _layer_norm(x, layer_norm) if norm == "post" else x


def _layer_norm(x: Tensor, layer_norm: Any) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], layer_norm.w, layer_norm.b, layer_norm.eps)


def run_block(
    x: Float[Tensor, "batch here d_model"],
    block: Any,
    norm: Norm,
    allowed: Bool[Tensor, "#batch 1 row here"],
    skipped: int = 0,
    dropout: Dropout | None = None,
) -> Float[Tensor, "batch row d_model"]:
    """One block, for the rows after the first ``skipped``."""
    added = attention(norm_before(x, block.ln1, norm), block.attn, allowed, skipped, dropout)
    added = dropout(added) if dropout else added
    x = norm_after(x[:, skipped:] + added, block.ln1, norm)
    return run_mlp(x, block, norm, dropout)


def run_mlp(
    x: Float[Tensor, "batch row d_model"],
    block: Any,
    norm: Norm,
    dropout: Dropout | None = None,
) -> Float[Tensor, "batch row d_model"]:
    """The second half of a block: the stream after its MLP."""
    added = mlp(norm_before(x, block.ln2, norm), block.mlp, dropout)
    added = dropout(added) if dropout and dropout.mlp_out else added
    return norm_after(x + added, block.ln2, norm)


def attention(
    x: Float[Tensor, "batch here d_model"],
    attn: Any,
    allowed: Bool[Tensor, "#batch 1 row here"],
    skipped: int = 0,
    dropout: Dropout | None = None,
) -> Float[Tensor, "batch row d_model"]:
    """What the heads of a layer add, for the rows after the first ``skipped``."""
    n_heads, _, d_head = attn.W_Q.shape

    def project(y: Tensor, weight: Tensor, bias: Tensor) -> Float[Tensor, "batch head pos d_head"]:
        flat = weight.transpose(1, 2).reshape(n_heads * d_head, -1)
        return F.linear(y, flat, bias.flatten()).unflatten(-1, (n_heads, d_head)).transpose(1, 2)

    query = project(x[:, skipped:], attn.W_Q, attn.b_Q) / math.sqrt(d_head)
    key, value = project(x, attn.W_K, attn.b_K), project(x, attn.W_V, attn.b_V)
    scores = (query @ key.transpose(-1, -2)).masked_fill(~allowed, -torch.inf)
    pattern = scores.softmax(-1)
    pattern = dropout(pattern) if dropout else pattern
    z = (pattern.to(value.dtype) @ value).transpose(1, 2).flatten(2)  # [batch, row, head * d_head]
    return F.linear(z, attn.W_O.reshape(n_heads * d_head, -1).T, attn.b_O)


def mlp(
    x: Float[Tensor, "batch row d_model"],
    module: Any,
    dropout: Dropout | None = None,
) -> Float[Tensor, "batch row d_model"]:
    """What the MLP of a layer adds."""
    if x.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and is_relu(module):
        weights = (module.W_in, module.b_in, module.W_out, module.b_out)
        return _BlockedMLP.apply(x.flatten(0, 1), *weights, dropout).unflatten(0, x.shape[:2])
    hidden = neurons(x, module)
    hidden = dropout(hidden) if dropout else hidden
    return F.linear(hidden, module.W_out.T, module.b_out)


class _BlockedMLP(torch.autograd.Function):
    """ReLU MLP, forward and backward, in blocks of rows that stay in the processor's cache.

    Backward recomputes nothing: it keeps the hidden activations, whose zeros are what ReLU or
    dropout closed. Sums over rows are made block by block, so results differ from one large product
    by rounding only.
    """

    @staticmethod
    def forward(ctx, x, w_in, b_in, w_out, b_out, dropout):  # type: ignore[no-untyped-def]
        hidden = x.new_empty(len(x), w_in.shape[1])
        out = torch.empty_like(x)
        for rows in _blocks(len(x)):
            h = torch.addmm(b_in, x[rows], w_in, out=hidden[rows]).relu_()
            if dropout:
                h.mul_(dropout.mask(h))
            torch.addmm(b_out, h, w_out, out=out[rows])
        ctx.save_for_backward(x, hidden, w_in, w_out)
        ctx.scale = dropout.scale if dropout else 1.0
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        x, hidden, w_in, w_out = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x, grad_in = torch.empty_like(x), torch.zeros_like(w_in)
        grad_out, grad_b = torch.zeros_like(w_out.T), torch.zeros_like(w_in[0])
        scratch = x.new_empty(min(_BLOCK_ROWS, len(x)), w_in.shape[1])
        for rows in _blocks(len(x)):
            g, h = grad[rows], hidden[rows]
            back = torch.mm(g, w_out.T, out=scratch[: len(g)])
            back = torch.ops.aten.threshold_backward.grad_input(back, h, 0, grad_input=back)
            if ctx.scale != 1.0:
                back.mul_(ctx.scale)
            grad_out.addmm_(g.T, h)
            grad_in.addmm_(x[rows].T, back)
            grad_b += back.sum(0)
            torch.mm(back, w_in.T, out=grad_x[rows])
        return grad_x, grad_in, grad_b, grad_out.T, grad.sum(0), None


def _blocks(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, _BLOCK_ROWS):
        yield slice(start, min(start + _BLOCK_ROWS, n_rows))
