"""What the analyses of minimal pairs share: the pairs, the places in them, and how effects count.

    clean    3 1 4 1 5 SEP _ _ ... _ 1 1 3 4        next output: 5
    corrupt  3 1 4 1 9 SEP _ _ ... _ 1 1 3 4        next output: 9

The *logit difference* of the two answers says which of them a model gives. An intervention between
the two runs moves it, by a share of the difference between the runs: 1 is all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float, Int

from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.seeds import stream
from interp.task import N_DIGITS, Region, SortTask

if TYPE_CHECKING:
    import torch

    from interp.answers.pairs import Pairs
    from interp.model import SortTransformer
    from interp.passes.forward import Run
else:
    torch = lazy_import("torch")

DIRECTIONS = ("denoising", "noising")
"""Clean into corrupted, and corrupted into clean."""
PLACES = (
    "changed digit",
    "other digits",
    "SEP",
    "blanks",
    "last blank",
    "earlier outputs",
    "answer row",
)
"""Positions taken together. ``blanks`` are all but the last, which emits the first output and so
is kept apart; ``answer row`` is the position whose logits are read."""
EVERYWHERE = "everywhere"
HEAD_PLACES = (*PLACES, EVERYWHERE)
"""Positions taken together in single heads: also all of them at once."""


@dataclass(frozen=True)
class PairConfig:
    """How many pairs of lists, and which."""

    pairs: int = 48  # enough for intervals of a few percent
    length: int = 12  # digits per list, or the model's longest: one for all, so positions compare
    list: str | None = None  # a clean list of your own, like 3,1,4,1,5 (with --corrupt)
    corrupt: str | None = None  # the corrupted list, of the same length

    def __post_init__(self) -> None:
        at_least(self, pairs=1, length=2)
        if (self.list is None) != (self.corrupt is None):
            raise UserError("--list and --corrupt go together: a pair of lists of the same length")

    @property
    def own(self) -> tuple[str, ...]:
        """What the folder of results is called after, for a pair that was asked for."""
        return (self.list, "to", self.corrupt) if self.list and self.corrupt else ()


def choose_pairs(task: SortTask, config: PairConfig, seed: int) -> Pairs:
    """The pair that is asked for, or random ones of ``length`` digits (the longest if shorter).

    Raises:
        UserError: if the two lists that are asked for cannot be compared.
    """
    from interp.answers.pairs import make_pairs, sample_pairs

    if config.list is not None and config.corrupt is not None:
        return make_pairs(task, [task.parse(config.list)], [task.parse(config.corrupt)])
    if task.max_len > 1:
        return sample_pairs(task, config.pairs, min(config.length, task.max_len), seed)
    # A list of one digit has only a first output, which sample_pairs leaves out.
    generator = stream("pairs of one digit", seed)
    clean = torch.randint(N_DIGITS, (config.pairs, 1), generator=generator)
    shift = torch.randint(1, N_DIGITS, (config.pairs, 1), generator=generator)
    return make_pairs(task, clean.tolist(), ((clean + shift) % N_DIGITS).tolist())


def place_masks(pairs: Pairs) -> Bool[torch.Tensor, "pair place pos"]:
    """The positions of each of ``PLACES``; an answer row is that and nothing else."""
    task = pairs.task
    positions = torch.arange(task.n_ctx, device=pairs.rows.device)

    def within(region: Region) -> Bool[torch.Tensor, "1 pos"]:
        span = task.region(region, pairs.length)
        return ((positions >= span.start) & (positions < span.stop))[None]

    answer = positions == pairs.rows[:, None]
    changed = pairs.clean != pairs.corrupt
    before = positions < pairs.rows[:, None]
    places = {
        "changed digit": changed & within(Region.DIGITS),
        "other digits": ~changed & within(Region.DIGITS),
        "SEP": within(Region.SEP) & before,
        "blanks": within(Region.BLANKS) & before,
        "last blank": within(Region.LAST_BLANK) & before,
        "earlier outputs": within(Region.OUTPUTS) & before,
        "answer row": answer,
    }
    return torch.stack([places[name] for name in PLACES], 1)


def logit_difference(
    logits: Float[torch.Tensor, "pair ... d_vocab_out"], answers: Int[torch.Tensor, "pair 2"]
) -> Float[torch.Tensor, "pair ..."]:
    """The logit of the clean answer minus that of the corrupted one."""
    index = answers.view(-1, *[1] * (logits.ndim - 2), 2).expand(*logits.shape[:-1], 2)
    picked = logits.gather(-1, index)
    return picked[..., 0] - picked[..., 1]


def understood(difference: Float[torch.Tensor, "pair 2"]) -> Bool[torch.Tensor, " pair"]:
    """Pairs of which the model prefers the right answer of the two in both runs.

    Args:
        difference: the logit difference in the clean and in the corrupted run.
    """
    return (difference[:, 0] > 0) & (difference[:, 1] < 0)


@dataclass(frozen=True)
class Swap:
    """The clean and the corrupted run of each pair, between which activations are exchanged.

    A ``direction`` is an index into ``DIRECTIONS``: it says which run gives and which is changed.
    """

    model: SortTransformer
    pairs: Pairs
    tokens: tuple[Int[torch.Tensor, "pair pos"], Int[torch.Tensor, "pair pos"]]
    runs: tuple[Run, Run]

    @classmethod
    def of(
        cls,
        model: SortTransformer,
        pairs: Pairs,
        record: Callable[[Int[torch.Tensor, "pair pos"]], Run],
    ) -> Swap:
        """On the model's device; ``record`` runs lists and keeps what will be exchanged."""
        clean, corrupt = (t.to(model.W_U.device) for t in (pairs.clean, pairs.corrupt))
        return cls(model, pairs, (clean, corrupt), (record(clean), record(corrupt)))

    def donor(self, direction: int) -> Run:
        return self.runs[direction]

    def base(self, direction: int) -> Run:
        return self.runs[1 - direction]

    def base_tokens(self, direction: int) -> Int[torch.Tensor, "pair pos"]:
        return self.tokens[1 - direction]

    @cached_property
    def rows(self) -> Int[torch.Tensor, " pair"]:
        """The row that is read, counted from the first that the runs have logits of."""
        return (self.pairs.rows - self.runs[0].view.first_row).to(self.tokens[0].device)

    def at_rows(
        self, logits: Float[torch.Tensor, "pair row d_vocab_out"]
    ) -> Float[torch.Tensor, "pair d_vocab_out"]:
        """The logits that are compared."""
        return logits[torch.arange(len(logits), device=logits.device), self.rows]

    @cached_property
    def differences(self) -> Float[torch.Tensor, "pair 2"]:
        """The logit difference in the clean run and in the corrupted one."""
        answers = self.pairs.answers.to(self.rows.device)
        each = [logit_difference(self.at_rows(run.logits), answers) for run in self.runs]
        return torch.stack(each, 1)

    def share(
        self, direction: int, logits: Float[torch.Tensor, "pair ... d_vocab_out"]
    ) -> Float[torch.Tensor, "pair ..."]:
        """How far logits of the row that is read are from the base's towards the donor's."""
        found = logit_difference(logits, self.pairs.answers.to(logits.device))
        like = (-1, *[1] * (found.ndim - 1))
        base, donor = (self.differences[:, i].view(like) for i in (1 - direction, direction))
        return (found - base) / (donor - base)


def pairs_words(pairs: Pairs, kept: int) -> str:
    """The first line of a summary."""
    one = len(pairs) == 1
    return (
        f"{len(pairs)} {'pair' if one else 'pairs'} of lists of {pairs.length} "
        f"{'digit that differ' if pairs.length == 1 else 'digits that differ in one'}; "
        f"the model gets both answers of {kept} right, which are averaged."
    )


def pairs_json(pairs: Pairs, kept: int) -> dict[str, Any]:
    """Which lists, and how many pairs are averaged."""
    return {
        "pairs": len(pairs),
        "pairs_understood": kept,
        "length": pairs.length,
        "lists": [
            {"clean": list(pairs.task.decode_list(a)), "corrupt": list(pairs.task.decode_list(b))}
            for a, b in zip(pairs.clean, pairs.corrupt, strict=True)
        ],
    }
