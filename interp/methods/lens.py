"""The logit lens: what the model would say if it stopped here (nostalgebraist 2020).

    batch = task.encode([[3, 1, 1]])
    seen = lens(model, batch.tokens, everywhere(task, batch))
    seen.labels                         # before layer 0, after attention 0, after MLP 0, ...
    seen.logits                         # [batch, depth, pos, d_vocab_out]
    seen.rank(task.targets(batch.tokens)[:, seen.positions.start : seen.positions.stop])

Every residual stream is read by the model's own unembedding. In a pre-norm model that is its final
LayerNorm and then W_U and b_U; in post-norm models and those without normalisation there is no
final LayerNorm, so W_U and b_U read the stream as it is (in a post-norm model ``resid_mid`` and
``resid_post`` have just been normalised, the embedding has not). At the last depth the lens *is*
the model: its logits are the model's.

What it cannot show: the unembedding reads some directions of the stream and no others. What is
there in another basis, for a later layer to turn round, the lens does not see: *not visible* never
means *not there*. The compiled sorter ``slots`` holds the whole answer at its blanks, where the
lens sees nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.passes.forward import Place, forward
from interp.passes.packed import Window, unembed
from interp.sites import Component, place_name
from interp.task import Region, SortBatch, SortTask
from interp.transformer import Transformer

CANDIDATES = ("sorted", "emitted", "blank")
"""What a blank might say. For blank j: ``sorted``, the digit sorted[j]; ``emitted``, the token that
the model emits at output row j; ``blank``, the BLANK that it is trained to predict."""


@dataclass(frozen=True)
class Lens:
    """Logits of every residual stream."""

    task: SortTask
    depths: tuple[Place, ...]
    """The residual streams, in the order of the forward pass."""
    positions: range
    """Absolute positions."""
    logits: Float[Tensor, "batch depth pos token"]
    """The tokens are all that can be predicted, or in :meth:`among_digits` the digits."""

    @property
    def labels(self) -> list[str]:
        """``after attention 1``: which residual stream."""
        return [place_name(*depth) for depth in self.depths]

    def at(self, positions: range) -> Lens:
        """Some of the positions, which the lens must have looked at."""
        start = positions.start - self.positions.start
        if positions and not 0 <= start <= start + len(positions) <= len(self.positions):
            raise ValueError(f"this lens has positions {self.positions}, not all of {positions}")
        return Lens(
            self.task, self.depths, positions, self.logits[:, :, start : start + len(positions)]
        )

    def among_digits(self) -> Lens:
        """The digits alone, as if nothing else could be said."""
        digits = self.logits[..., : self.task.n_symbols]
        return Lens(self.task, self.depths, self.positions, digits)

    def probability(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch depth pos"]:
        """Of a token at each position; NaN where it is PAD, or none of these."""
        return self._pick(self.logits.softmax(-1), tokens)

    def logit(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch depth pos"]:
        """Of a token at each position; NaN where it is PAD, or none of these."""
        return self._pick(self.logits, tokens)

    def rank(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch depth pos"]:
        """1 for the most probable token; equally probable ones share the mean of their ranks."""
        logit = self.logit(tokens)[..., None]
        above, level = (self.logits > logit).sum(-1), (self.logits == logit).sum(-1)
        return (above + (level + 1) / 2).masked_fill(logit[..., 0].isnan(), torch.nan)

    def _pick(self, values: Tensor, tokens: Int[Tensor, "batch pos"]) -> Tensor:
        none = tokens >= values.shape[-1]  # PAD, and among digits SEP, too
        index = tokens.masked_fill(none, 0)[:, None, :, None]
        picked = values.gather(-1, index.expand(*values.shape[:-1], 1))[..., 0]
        return picked.masked_fill(none[:, None], torch.nan)


def depths(n_layers: int) -> tuple[Place, ...]:
    """The residual streams of a model: the embedding, then after each attention and each MLP."""
    after = (Component.RESID_MID, Component.RESID_POST)
    return (
        (Component.RESID_PRE, 0),
        *((component, layer) for layer in range(n_layers) for component in after),
    )


def everywhere(task: SortTask, batch: SortBatch) -> Window:
    """The window of a batch in which every position is looked at, digits and blanks too."""
    longest = batch.longest
    return Window(task, longest, task.max_len - longest)


@torch.no_grad()
def lens(model: Transformer, tokens: Int[Tensor, "batch pos"], view: Window) -> Lens:
    """Unembed every residual stream at ``view.rows`` of full sequences.

    Args:
        tokens: full sequences, none longer than ``view.longest``.
        view: see :func:`everywhere` and :func:`interp.passes.packed.window`.
    """
    task, places = model.task, depths(model.cfg.n_layers)
    run = forward(model, tokens, view, keep=places)
    n_rows = view.stop - view.first_row
    streams = torch.stack([run.at(*place)[:, -n_rows:] for place in places], 1)
    return Lens(task, places, range(view.first_row, view.stop), unembed(model, streams))


# -- what the blanks say ------------------------------------------------------------------------


def numbered_blanks(task: SortTask, n_outputs: int) -> range:
    """Positions of blanks 0, 1, ... that stand for an output each, of so many.

    Not the last blank: it emits the first output, so what it says is an answer.
    """
    return task.region(Region.BLANKS)[:n_outputs]


def sorted_digits(
    task: SortTask, tokens: Int[Tensor, "batch pos"], n_blanks: int
) -> Int[Tensor, "batch blank"]:
    """For blank j: the answer's token j (sorted[j]), and PAD where it has none."""
    first = task.first_output_row + 1
    return tokens[:, first : first + n_blanks]


def blank_candidates(
    task: SortTask, tokens: Int[Tensor, "batch pos"], seen: Lens
) -> Int[Tensor, "batch candidate blank"]:
    """The ``CANDIDATES`` of every numbered blank; PAD where a list has no sorted[j].

    Args:
        seen: a lens that has looked at the output rows; its last depth is the model itself.
    """
    blanks = numbered_blanks(task, seen.positions.stop - task.first_output_row)
    right = sorted_digits(task, tokens, len(blanks))
    rows = range(task.first_output_row, task.first_output_row + len(blanks))
    emitted = seen.at(rows).logits[:, -1].argmax(-1)
    every = torch.stack([right, emitted, torch.full_like(right, task.blank)], 1)
    return every.masked_fill((right == task.pad)[:, None], task.pad)


def preference(
    mine: Lens,
    theirs: Lens,
    my_tokens: Int[Tensor, "batch pos"],
    their_tokens: Int[Tensor, "batch pos"],
) -> Float[Tensor, "batch depth pos"]:
    """Forced choice between two lists: does the lens tell at a position which list it is in?

    Where the two lists want different tokens, each list's lens chooses between them by the larger
    logit. 1: both choose their own. 0: both choose the other's. 1/2 is chance, and is *exactly*
    what any reading that depends on the position alone gives: it says the same in both lists, and
    is right in one of them. NaN where the two tokens are the same, or one is PAD.
    """
    own = _chooses(mine.logit(my_tokens), mine.logit(their_tokens))
    other = _chooses(theirs.logit(their_tokens), theirs.logit(my_tokens))
    pad = mine.task.pad
    undecided = (my_tokens == their_tokens) | (my_tokens == pad) | (their_tokens == pad)
    return ((own + other) / 2).masked_fill(undecided[:, None], torch.nan)


def _chooses(a: Tensor, b: Tensor) -> Tensor:
    """1 where ``a`` is larger, 1/2 where they are level."""
    return (a > b).to(a.dtype) + (a == b).to(a.dtype) / 2
