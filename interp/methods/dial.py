"""One number of a head of layer 0: how much more it writes for copies to come than for copies out.

    dial = dial_of(model, 4)                # read off the weights of head 0.4
    dial.read(rows)                         # [prompt]: 1 or so, if it attends to copies to come
                                            # alone; -1 or so, to copies that are out
    turned(model, rows, dial, numbers)      # [prompt, 12]: logits with that number instead

A head of layer 0 reads tokens and positions alone, so what it writes for a digit is known from its
weights. Where it writes opposite vectors for a copy in the list and for one among the outputs, its
output is a number times one vector, and that number can be set as a variable is
(:mod:`interp.methods.interchange`), all else of the row as it was. To set it step by step is to ask
for a dose and its response: what does the model say of a number larger than there ever is?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.methods.interchange import Change, Rows, rerun
from interp.passes.packed import norm_before
from interp.passes.untouched import refuse_touched
from interp.programs.prompts import Prompts
from interp.sites import Component
from interp.task import N_DIGITS, Region, SortTask
from interp.transformer import Transformer

NUMBERS = torch.arange(-20, 21) / 20
"""What a number is set to: from copies out alone to copies in the list alone."""


def digit_streams(
    model: Transformer, positions: Int[Tensor, " pos"]
) -> Float[Tensor, "digit pos d_model"]:
    """What layer 0 reads of every digit at these positions, normalised as it normalises.

    Raises:
        UserError: if something acts on the model, here and in all that is read off its weights.
    """
    refuse_touched(model, "what layer 0 reads")
    x = model.W_E[:N_DIGITS, None] + model.pos_embed.W_pos[positions.to(model.W_U.device)]
    return norm_before(x, model.blocks[0].ln1, model.config.norm)


def regions(task: SortTask) -> tuple[Int[Tensor, " listed"], Int[Tensor, " out"]]:
    """Positions of the list, and of outputs that are read by a later one."""
    listed, out = task.region(Region.DIGITS), task.region(Region.OUTPUTS)
    return torch.arange(listed.start, listed.stop), torch.arange(out.start, out.stop)


def scores(model: Transformer, head: int) -> Iterator[Float[Tensor, "query key row pos"]]:
    """A head of layer 0's attention scores of every digit for every digit, from its weights: of
    rows that answer for positions of the list, then of the outputs."""
    attn, places = model.blocks[0].attn, regions(model.task)
    query = digit_streams(model, places[1]) @ attn.W_Q[head] + attn.b_Q[head]
    for region in places:
        key = digit_streams(model, region) @ attn.W_K[head] + attn.b_K[head]
        yield torch.einsum("qrd,kpd->qkrp", query, key) / key.shape[-1] ** 0.5


def equality(table: Float[Tensor, "*region query key"]) -> Float[Tensor, "*region"]:
    """How much higher the mean score of equal digits is than that of others.

    Args:
        table: scores, mean over positions.
    """
    same = torch.eye(N_DIGITS, dtype=torch.bool)
    return table[..., same].mean(-1) - table[..., ~same].mean(-1)


def gathered(model: Transformer, head: int) -> Iterator[Float[Tensor, "digit pos d_head"]]:
    """What a head of layer 0 gathers of every digit: in the list, then among the outputs."""
    attn = model.blocks[0].attn
    for region in regions(model.task):
        yield digit_streams(model, region) @ attn.W_V[head] + attn.b_V[head]


@dataclass(frozen=True, eq=False)
class Dial:
    """The number of one head of layer 0."""

    head: int
    direction: Float[Tensor, " d_head"]
    """Half of what it gathers of a copy in the list less what it gathers of one that is out, mean
    over positions and digits."""

    def read(self, rows: Rows) -> Float[Tensor, " prompt"]:
        """The number at the row that answers."""
        return self._along(rows.at[Component.Z, 0][:, self.head])

    def _along(self, z: Float[Tensor, "prompt d_head"]) -> Float[Tensor, " prompt"]:
        return (z @ self.direction) / (self.direction @ self.direction)

    def to(self, numbers: Float[Tensor, " prompt"]) -> Change:
        """Of what the heads of layer 0 gather: this number instead, the rest as it is."""

        def change(z: Float[Tensor, "prompt head d_head"]) -> Tensor:
            changed = z.clone()
            more = numbers.to(z) - self._along(z[:, self.head])
            changed[:, self.head] += more[:, None] * self.direction
            return changed

        return change


_NOTHING = 1e-4  # of their mean length: rounding


@torch.no_grad()
def dial_of(model: Transformer, head: int) -> Dial | None:
    """From the weights of a head of layer 0; None where it writes the same for both."""
    if not all(map(len, regions(model.task))):  # answers of one output, which none reads
        return None
    listed, out = (values.mean((0, 1)) for values in gathered(model, head))
    size = listed.norm() + out.norm()
    return Dial(head, (listed - out) / 2) if (listed - out).norm() > _NOTHING * size else None


@torch.no_grad()
def turned(
    model: Transformer, rows: Rows, dial: Dial, numbers: Float[Tensor, " prompt"]
) -> Float[Tensor, "prompt d_vocab_out"]:
    """The logits of every row with this number in place of its own.

    Raises:
        UserError: if something acts on the model.
    """
    return rerun(model, rows, {(Component.Z, 0): [dial.to(numbers)]})


def beside(prompts: Prompts) -> tuple[Int[Tensor, " some"], Prompts]:
    """For a wrong prefix the right one that ends in the same digit, all copies of it out.

    Returns:
        which of the prompts have one (their last output is in the list, and not its largest digit),
        and theirs.
    """
    rights = {
        number: tuple(sorted(value for value in values if value <= prefix[-1]))
        for number, (values, prefix) in enumerate(prompts)
        if prefix and prefix[-1] in values and prefix[-1] < max(values)
    }
    index = torch.tensor(list(rights), dtype=torch.long)
    return index, Prompts(prompts.take(index).lists, tuple(rights.values()))
