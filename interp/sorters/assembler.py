"""An assembler for transformers compiled by hand: weights written as functions of named subspaces.

    a = Assembler(SortTask(), "counts")             # the subspaces below, and counts[10]
    a.head(1, 2, [(a.one, a.at("blank"))], a.moves("counts", "answer"))
    a.neuron(0, a.index("row", 1) - a.at("counts", 3), a.at("answer", 4))
    a.model                                         # a SortTransformer, without normalisation

As in Tracr (Lindner et al. 2023), the residual stream is made of subspaces with a meaning each:

    digit[10] sep blank            what the token is, one-hot (PAD is nothing)
    listed place[2]                1 in the slots of the list; the position and its square
    slot[..] row[..]               blank i and output row i, one-hot (position 97 is both)
    answer[10]                     the only one that the unembedding reads
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.sorters.claims import N_HEADS
from interp.task import Task

LOGIT = 12.0  # of the emitted digit; other digits have 0, and BLANK half of it, for want of a digit
D_MLP = 64  # neurons of a layer


@dataclass(frozen=True)
class Linear:
    """A linear function of the residual stream, or without bias a direction to write along."""

    weights: Float[Tensor, " d_model"]
    bias: float = 0.0

    def __add__(self, other: Linear) -> Linear:
        return Linear(self.weights + other.weights, self.bias + other.bias)

    def __neg__(self) -> Linear:
        return Linear(-self.weights, -self.bias)

    def __sub__(self, other: Linear) -> Linear:
        return self + -other

    def __rmul__(self, factor: int | float) -> Linear:
        return Linear(factor * self.weights, factor * self.bias)


class Assembler:
    """Weights in the making: named subspaces, and heads and neurons written as their functions."""

    def __init__(self, task: Task, *computed: str) -> None:
        self.task = task
        slots, n = min(task.max_len, task.n_blanks), task.n_symbols
        sizes = {"digit": n, "sep": 1, "blank": 1, "listed": 1, "place": 2}
        sizes |= {"slot": slots, "row": task.n_outputs(), "answer": n}
        self._spaces: dict[str, range] = {}
        for name, size in (sizes | dict.fromkeys(computed, n)).items():
            start = sum(map(len, self._spaces.values()))
            self._spaces[name] = range(start, start + size)
        self._d_model = sum(map(len, self._spaces.values()))
        self.model = SortTransformer(
            ModelConfig(
                task=task,
                d_model=self._d_model,
                n_heads=N_HEADS,
                d_head=_square(max(slots + 1, n)),
                d_mlp=D_MLP,
                norm="none",
                positions="learned",
            )
        ).eval()
        self._neurons = [0, 0]  # used so far, by layer
        self.zero = Linear(torch.zeros(self._d_model))
        self.one = Linear(torch.zeros(self._d_model), 1.0)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.zero_()
            self._embed()

    @torch.no_grad()
    def _embed(self) -> None:
        task, model = self.task, self.model
        for digit in task.alphabet:
            model.embed.W_E[digit] = self.at("digit", digit).weights
            model.unembed.W_U[:, digit] = LOGIT * self.at("answer", digit).weights
        model.embed.W_E[task.sep] = self.at("sep").weights
        model.embed.W_E[task.blank] = self.at("blank").weights
        model.unembed.b_U[task.blank] = LOGIT / 2
        table = model.pos_embed.W_pos
        table[: task.max_len] += self.at("listed").weights
        for i in range(self.size("slot")):
            table[task.sep_pos + 1 + i] += self.at("slot", i).weights
        for i in range(self.size("row")):
            table[task.first_output_row + i] += self.at("row", i).weights
        places = torch.arange(task.n_ctx) / task.n_ctx - 0.5  # centred, to lose few bits
        table[:, list(self._spaces["place"])] = torch.stack([places, places**2], 1)

    def size(self, space: str) -> int:
        return len(self._spaces[space])

    def at(self, space: str, i: int = 0) -> Linear:
        """Coordinate ``i`` of a subspace."""
        weights = torch.zeros(self._d_model)
        weights[self._spaces[space][i]] = 1.0
        return Linear(weights)

    def total(self, space: str) -> Linear:
        """Of a one-hot subspace: 1 where one is hot, and 0 where none is."""
        return self._weighted(space, torch.ones(self.size(space)))

    def index(self, space: str, shift: int | float) -> Linear:
        """Of a one-hot subspace: i + shift where i is hot, and 0 where none is."""
        return self._weighted(space, torch.arange(self.size(space)) + float(shift))

    def _weighted(self, space: str, values: Float[Tensor, " size"]) -> Linear:
        weights = torch.zeros(self._d_model)
        weights[list(self._spaces[space])] = values
        return Linear(weights)

    def moves(self, source: str, target: str | None) -> list[tuple[Linear, Linear]]:
        """Values of a head that copy one subspace to another, or to nothing."""
        write = [self.at(target, i) if target else self.zero for i in range(self.size(source))]
        return [(self.at(source, i), write[i]) for i in range(self.size(source))]

    @torch.no_grad()
    def head(
        self,
        layer: int,
        head: int,
        scores: Sequence[tuple[Linear, Linear]],
        moves: Iterable[tuple[Linear, Linear]],
    ) -> None:
        """Scores are sums of (query, key) products; each (value, write) is a value's way out."""
        attn = self.model.blocks[layer].attn
        for i, (query, key) in enumerate(scores):
            scale = math.sqrt(attn.W_Q.shape[-1])  # the model divides scores by it
            attn.W_Q[head, :, i], attn.b_Q[head, i] = scale * query.weights, scale * query.bias
            attn.W_K[head, :, i], attn.b_K[head, i] = key.weights, key.bias
        for i, (value, write) in enumerate(moves):
            attn.W_V[head, :, i], attn.b_V[head, i] = value.weights, value.bias
            attn.W_O[head, i] = write.weights

    @torch.no_grad()
    def neuron(self, layer: int, reads: Linear, writes: Linear) -> None:
        """One more unit of the layer's MLP: adds relu(reads) along ``writes``."""
        mlp, i = self.model.blocks[layer].mlp, self._neurons[layer]
        mlp.W_in[:, i], mlp.b_in[i] = reads.weights, reads.bias
        mlp.W_out[i] = writes.weights
        self._neurons[layer] += 1


def _square(least: int) -> int:
    """The next square: scores are divided by the root of d_head, which then rounds nothing."""
    return (math.isqrt(least - 1) + 1) ** 2
