"""The pass of :mod:`interp.passes.packed` through C++ of our own, for training.

The same arithmetic, in another order. Lists lie one after the other without their padding; between
two products of matrices, everything happens in one pass over rows that are in the cache; attention
keeps its scores there, and no mask is ever in memory: where the gradient needs dropout's, they are
drawn again from their seed. The stream is float32; products are made in float32 or, under PyTorch's
autocast, in bfloat16. Then there are rows that nobody reads behind the lists, up to a round number:
oneDNN compiles a product in bfloat16 anew for every number of rows that it has not seen, which can
take ten times as long as the product.

:mod:`interp.passes.packed` is the reference. Given the same masks, logits and gradients differ from
its own by rounding only, and units are dropped with the same probability; the tests hold both.
:mod:`interp.passes.kernels` says how the C++ comes to be there, and what if it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from interp.config import Norm
from interp.passes.activations import is_relu
from interp.passes.kernels import operators
from interp.passes.packed import Dropout, Window, norm_after, norm_before, unembed
from interp.passes.untouched import refuse_touched
from interp.support.errors import UserError
from interp.transformer import Transformer


def native_logits(
    model: Transformer,
    tokens: Int[Tensor, "batch pos"],
    view: Window,
    dropout: Dropout | None = None,
    blocked: Bool[Tensor, "query key"] | None = None,
) -> Float[Tensor, "batch row d_vocab_out"]:
    """As :func:`interp.passes.packed.packed_logits`, on a CPU; the logits of padding are 0.

    Of ``dropout``'s generator one number is drawn, from which all masks follow.

    Raises:
        UserError: if this machine has no kernels, saying why; if they are not for this model, or
            something acts on it.
    """
    refuse_touched(model, "a pass through kernels")
    if not all(is_relu(block.mlp) for block in model.blocks):
        raise UserError("native kernels are for MLPs of ReLU neurons: --kernel plain has others")
    tokens = tokens[:, view.start : view.stop]
    lists = _Lists.of(tokens, view, _closed(model, blocked))
    drops = _Drops(dropout)
    x = F.embedding(tokens.flatten()[lists.rows], model.embed.effective())
    x = drops(x + F.embedding(lists.positions, model.pos_embed.W_pos))
    for layer, block in enumerate(model.blocks):
        # Before the last layer every position is read by a later one; in it only scored rows are.
        last = layer == model.config.n_layers - 1
        x = _run_block(x, block, model.config.norm, lists, last, drops)
    logits = unembed(model, x)[: len(lists.scored[0])]
    out = logits.new_zeros(len(tokens), view.stop - view.first_row, logits.shape[-1])
    return out.index_put(lists.scored, logits)


def _closed(
    model: Transformer, blocked: Bool[Tensor, "query key"] | None
) -> Bool[Tensor, "query key"]:
    """Who may not attend to whom besides causality and padding, by position; [0, 0] for nobody."""
    own = model.blocked
    if own is not None:
        blocked = own if blocked is None else own | blocked
    return torch.zeros(0, 0, dtype=torch.bool) if blocked is None else blocked.contiguous()


_ROUND = 128  # rows, of which every product in bfloat16 has a multiple


@dataclass(frozen=True)
class _Lists:
    """Lists one after the other: a row for each of their tokens, none for padding; then, for
    products in bfloat16, the first row again and again, up to a multiple of ``_ROUND``."""

    real: Bool[Tensor, "batch here"]
    rows: Int[Tensor, " rows"]
    """Of each row, its place among the tokens of all lists."""
    positions: Int[Tensor, " rows"]
    """Of each row, in the full sequence."""
    queries: Int[Tensor, " asked"]
    """The rows that the last layer computes; up to a multiple, too."""
    scored: tuple[Int[Tensor, " scored"], Int[Tensor, " scored"]]
    """Their lists, and their places among the window's scored rows."""
    spans: tuple[Int[Tensor, "batch 5"], Int[Tensor, "batch 5"]]
    """Where each list lies, in all layers but the last, and in it: see Span in cpp/attention.h."""
    closed: Bool[Tensor, "query key"]

    @classmethod
    def of(cls, tokens: Tensor, view: Window, closed: Tensor) -> _Lists:
        real = tokens != view.task.pad
        where, here = real.nonzero(as_tuple=True)
        count = real.sum(1)
        first = count.cumsum(0) - count
        position = here[first]
        skipped = (view.first_row - view.start - position).clamp(min=0)
        queries = (here >= view.first_row - view.start).nonzero()[:, 0]
        asked = count - skipped
        none = torch.zeros_like(count)
        position = position + view.start
        everywhere = torch.stack([first, count, none, first, position], 1)
        last = torch.stack([first, count, skipped, asked.cumsum(0) - asked, position], 1)
        row = here[queries] - (view.first_row - view.start)
        rows = _rounded(where * real.shape[1] + here)
        return cls(
            real,
            rows,
            rows % real.shape[1] + view.start,
            _rounded(queries),
            (where[queries], row),
            (everywhere, last),
            closed,
        )


def _rounded(index: Int[Tensor, " some"]) -> Int[Tensor, " more"]:
    """Its first again and again behind it: a row that is there, so that nothing new gets in."""
    return torch.cat([index, index[:1].expand(-len(index) % _multiple())])


def _multiple() -> int:
    return 1 if _product_dtype() == torch.float32 else _ROUND


class _Drops:
    """Dropout at one place after another, each with a seed of its own."""

    def __init__(self, dropout: Dropout | None) -> None:
        self.threshold = dropout.threshold if dropout else 0
        self.mlp_out = dropout is not None and dropout.mlp_out
        self._seed = 0
        if dropout:
            drawn = torch.empty((), dtype=torch.int64)
            self._seed = int(drawn.random_(0, 2**62, generator=dropout.generator))

    def seed(self) -> int:
        self._seed += 1
        return self._seed

    def __call__(self, x: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
        return _Drop.apply(x.float(), self.threshold, self.seed()) if self.threshold else x


def _run_block(
    x: Float[Tensor, "rows d_model"],
    block: Any,
    norm: Norm,
    lists: _Lists,
    last: bool,
    drops: _Drops,
) -> Float[Tensor, "some d_model"]:
    added = drops(_attention(norm_before(x, block.ln1, norm), block.attn, lists, last, drops))
    x = norm_after((x[lists.queries] if last else x) + added, block.ln1, norm)
    mlp, before = block.mlp, norm_before(x, block.ln2, norm)
    weights = (mlp.W_in, mlp.b_in, mlp.W_out, mlp.b_out)
    added = _MLP.apply(before, *weights, drops.threshold, drops.seed())
    return norm_after(x + (drops(added) if drops.mlp_out else added), block.ln2, norm)


def _attention(
    x: Float[Tensor, "rows d_model"], attn: Any, lists: _Lists, last: bool, drops: _Drops
) -> Float[Tensor, "some d_model"]:
    """What the heads of a layer add to its rows: in the last layer, the scored ones."""
    n_heads, d_model, d_head = attn.W_Q.shape

    def project(y: Tensor, *names: str) -> Tensor:
        weights = [getattr(attn, f"W_{name}").transpose(1, 2) for name in names]
        biases = [getattr(attn, f"b_{name}").flatten() for name in names]
        return F.linear(y, torch.cat(weights).reshape(-1, d_model), torch.cat(biases))

    apart = [project(x[lists.queries], "Q"), project(x, "K", "V")] if last else None
    projected = apart or [project(x, "Q", "K", "V")]
    settings = (n_heads, drops.threshold, drops.seed())
    z = _Attend.apply(lists.spans[last], lists.closed, settings, *projected)
    return F.linear(z, attn.W_O.reshape(n_heads * d_head, d_model).T, attn.b_O)


class _Drop(Function):
    """Each unit dropped, or kept and scaled."""

    @staticmethod
    def forward(ctx, x, threshold, seed):  # type: ignore[no-untyped-def]
        ctx.settings = (threshold, seed)
        return operators().drop(x.contiguous(), threshold, seed)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return operators().drop(grad.contiguous(), *ctx.settings), None, None


class _MLP(Function):
    """ReLU MLP with dropout on its hidden units, in blocks of rows that stay in the cache."""

    @staticmethod
    def forward(ctx, x, w_in, b_in, w_out, b_out, threshold, seed):  # type: ignore[no-untyped-def]
        dtype = _product_dtype()
        x, w_in, w_out = x.contiguous(), w_in.to(dtype), w_out.to(dtype)
        out, hidden = operators().mlp_forward(x, w_in, b_in, w_out, b_out, threshold, seed)
        ctx.save_for_backward(x, hidden, w_in, w_out)
        ctx.threshold = threshold
        return out

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        grad = grad.contiguous()
        by_x, by_in, by_b, by_out = operators().mlp_backward(
            grad, *ctx.saved_tensors, ctx.threshold
        )
        return by_x, by_in, by_b, by_out.T, grad.sum(0), None, None


class _Attend(Function):
    """Values mixed by attention, of queries, keys and values projected together or apart."""

    @staticmethod
    def forward(ctx, spans, closed, settings, *projected):  # type: ignore[no-untyped-def]
        query, other = _apart(projected)
        z, kept = operators().attend_forward(query, other, spans, closed, *settings)
        ctx.save_for_backward(kept, spans, closed, *projected)
        ctx.settings = settings
        return z

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        kept, spans, closed, *projected = ctx.saved_tensors
        gradients = [torch.zeros_like(each) for each in projected]  # of rows in no list, too
        operators().attend_backward(
            grad.contiguous(),
            kept,
            *_apart(projected),
            spans,
            closed,
            *ctx.settings,
            *_apart(gradients),
        )
        return None, None, None, *gradients


def _apart(projected):  # type: ignore[no-untyped-def]
    """Queries, and keys with values: views of one tensor, or two tensors as they are."""
    if len(projected) == 2:
        return projected
    width = projected[0].shape[1] // 3
    return projected[0].split([width, 2 * width], 1)


def _product_dtype() -> torch.dtype:
    on = torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if on else torch.float32
