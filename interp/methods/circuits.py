"""What a head's weights say by themselves: the QK and the OV circuit (Elhage et al. 2021).

    qk = qk_circuit(model, layer=0)
    qk.tokens[2]            # [query token, key token]: who would look for whom in head 2
    ov_circuit(model, 0)[2] # [source token, output token]: what attending there adds to the logits

Tokens are the digits, SEP and BLANK (``task.token_labels``); positions are those of the full
sequence. All is about the *direct* path: what the embedding puts into the residual stream, as it
reaches the head unchanged by the layers between. In layer 0 that is all a head can see.

Exact or not:

- without normalisation, and in layer 0 of a post-norm model (whose heads read the embedding as it
  is), the parts of a QK circuit add up to the scores, up to a constant for each query, which the
  softmax does not see;
- elsewhere every LayerNorm on the way enters as its linear part: the mean is taken off and the
  gain multiplied in, but the division by the standard deviation, which depends on all that the
  stream holds, is left out (so is a LayerNorm's bias, where another LayerNorm follows). In layer 0
  of a pre-norm model the true score is what stands here divided by the standard deviation at the
  query and by that at the key (bias terms by the key's only).

What a circuit does not say is what happens on real lists, where a layer above 0 reads mostly what
the layers below have written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp.passes.untouched import refuse_touched
from interp.support.errors import UserError
from interp.task import SortTask
from interp.transformer import Transformer


@dataclass(frozen=True)
class QKCircuit:
    """Contributions to the attention scores of a layer, scaled as the softmax sees them.

    With t a token's and p a position's way into the stream, the score of a query at a key is

        tokens[t, t'] + token_to_position[t, p'] + position_to_token[p, t'] + positions[p, p']
        + bias_to_token[t'] + bias_to_position[p']

    up to what depends on the query alone.
    """

    task: SortTask
    tokens: Float[Tensor, "head query_token key_token"]
    """Of all tokens that can be attended to, and predicted."""
    token_to_position: Float[Tensor, "head query_token key"]
    position_to_token: Float[Tensor, "head query key_token"]
    positions: Float[Tensor, "head query key"]
    bias_to_token: Float[Tensor, "head key_token"]
    bias_to_position: Float[Tensor, "head key"]

    @property
    def token_preference(self) -> Float[Tensor, "head query_token key_token"]:
        """``tokens`` less the mean over the digits as keys: who is preferred over them."""
        return self.tokens - self.tokens[..., : self.task.n_symbols].mean(-1, keepdim=True)


@torch.no_grad()
def qk_circuit(model: Transformer, layer: int) -> QKCircuit:
    """The QK circuit of every head of a layer, over tokens and over positions.

    Raises:
        UserError: if there is no such layer, or something acts on the model.
    """
    attn = _attention(model, layer)
    tokens, positions = _embeddings(model, layer)
    bias = (_constant(model, layer) @ attn.W_Q + attn.b_Q)[:, None]  # [head, 1, d_head]

    def scores(query: Tensor, key: Tensor) -> Tensor:
        return query @ (key @ attn.W_K).transpose(1, 2) / math.sqrt(attn.W_Q.shape[-1])

    of_token, of_position = tokens @ attn.W_Q, positions @ attn.W_Q  # [head, ..., d_head]
    return QKCircuit(
        model.task,
        scores(of_token, tokens),
        scores(of_token, positions),
        scores(of_position, tokens),
        scores(of_position, positions),
        scores(bias, tokens)[:, 0],
        scores(bias, positions)[:, 0],
    )


@torch.no_grad()
def ov_circuit(model: Transformer, layer: int) -> Float[Tensor, "head source_token output_token"]:
    """What attending fully to a token adds to the logits, less the mean over the outputs.

    W_E W_V W_O W_U, on the direct path from the embedding through the head to the unembedding, with
    every LayerNorm on the way as its linear part (see the module).

    Raises:
        UserError: if there is no such layer, or something acts on the model.
    """
    attn = _attention(model, layer)
    written = _embeddings(model, layer)[0] @ attn.W_V @ attn.W_O  # [head, token, d_model]
    logits = _to_unembedding(model, layer, written) @ model.W_U
    return logits - logits.mean(-1, keepdim=True)


def copying_score(
    task: SortTask,
    ov: Float[Tensor, "head source_token output_token"],
) -> Float[Tensor, " head"]:
    """Whether heads raise the digit that they attend to: from -1 (lower it) to 1 (copy it).

    The sum of the eigenvalues of the digits' part of an OV circuit over the sum of their sizes
    (Elhage et al. 2021). NaN for a head that writes nothing about the digits.
    """
    digits = ov[:, : task.n_symbols, : task.n_symbols].double().cpu()
    values = torch.linalg.eigvals(digits)
    size = values.abs().sum(-1)
    nothing = digits.abs().amax((-2, -1)) < _NOTHING
    return (values.real.sum(-1) / size).masked_fill(nothing, torch.nan).float()


_NOTHING = 1e-9  # logits


def _attention(model: Transformer, layer: int) -> Any:
    if not 0 <= layer < model.cfg.n_layers:
        raise UserError(f"there is no layer {layer}: this model has 0 to {model.cfg.n_layers - 1}")
    refuse_touched(model, "a circuit")
    return model.blocks[layer].attn


def _embeddings(
    model: Transformer, layer: int
) -> tuple[Float[Tensor, "token d_model"], Float[Tensor, "pos d_model"]]:
    """Tokens and positions as the heads of a layer read them from the stream."""
    passed: list[Any] = []
    if model.config.norm == "pre":
        passed = [model.blocks[layer].ln1]
    elif model.config.norm == "post":
        passed = [norm for block in model.blocks[:layer] for norm in (block.ln1, block.ln2)]
    return (
        _linear_part(model.W_E[: model.task.d_vocab_out], passed),
        _linear_part(model.pos_embed.W_pos, passed),
    )


def _constant(model: Transformer, layer: int) -> Float[Tensor, " d_model"]:
    """What the LayerNorm that a layer reads through adds to every position."""
    if model.config.norm == "pre":
        return model.blocks[layer].ln1.b
    if model.config.norm == "post" and layer > 0:
        return model.blocks[layer - 1].ln2.b
    return torch.zeros_like(model.W_E[0])


def _to_unembedding(model: Transformer, layer: int, written: Tensor) -> Tensor:
    """What a head of ``layer`` has written, as the unembedding reads it."""
    passed: list[Any] = []
    if model.config.norm == "pre":
        passed = [model.ln_final]
    elif model.config.norm == "post":
        passed = [norm for block in model.blocks[layer:] for norm in (block.ln1, block.ln2)]
    return _linear_part(written, passed)


def _linear_part(x: Float[Tensor, "*rows d_model"], norms: list[Any]) -> Tensor:
    """Through LayerNorms without their division by the standard deviation and their bias."""
    for norm in norms:
        x = (x - x.mean(-1, keepdim=True)) * norm.w
    return x
