"""What the analyses of minimal pairs share: the pairs, the places in them, and how effects count.

    clean    3 1 4 1 5 SEP _ _ ... _ 1 1 3 4        next output: 5
    corrupt  3 1 4 1 9 SEP _ _ ... _ 1 1 3 4        next output: 9

The *logit difference* of the two answers says which of them a model gives. An intervention between
the two runs moves it, by a share of the difference between the runs: 1 is all of it.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float

from analyses.experiment.given import given_now
from analyses.experiment.settings import PairConfig
from interp.answers.pairs import Pairs, make_pairs, pairs_from, sample_pairs
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import Region, SortTask

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


def choose_pairs(task: SortTask, config: PairConfig, seed: int) -> Pairs:
    """The pair that is asked for, or random ones of ``length`` digits (the longest if shorter).

    Raises:
        UserError: if the two lists that are asked for cannot be compared.
    """
    if config.list is not None and given_now() is not None:
        raise UserError("give --list and --corrupt, or --lists FILE: both say what is clean")
    if config.list is not None and config.corrupt is not None:
        own, others = (task.given(text) for text in (config.list, config.corrupt))
        return make_pairs(task, own, others)
    if (lists := given_now()) is not None:
        return pairs_from(task, lists.lists, seed)
    if task.max_len > 1:
        return sample_pairs(task, config.pairs, task.nearest_length(config.length), seed)
    # A list of one digit has only a first output, which sample_pairs leaves out.
    generator = stream("pairs of one digit", seed)
    clean = torch.randint(task.n_symbols, (config.pairs, 1), generator=generator)
    shift = torch.randint(1, task.n_symbols, (config.pairs, 1), generator=generator)
    return make_pairs(task, clean.tolist(), ((clean + shift) % task.n_symbols).tolist())


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


def understood(difference: Float[torch.Tensor, "pair 2"]) -> Bool[torch.Tensor, " pair"]:
    """Pairs of which the model prefers the right answer of the two in both runs.

    Args:
        difference: the logit difference in the clean and in the corrupted run.
    """
    return (difference[:, 0] > 0) & (difference[:, 1] < 0)


def pairs_words(pairs: Pairs, kept: int) -> str:
    """The first line of a summary."""
    one, word = len(pairs) == 1, pairs.task.symbols.word
    return (
        f"{len(pairs)} {'pair' if one else 'pairs'} of lists of {pairs.length} "
        f"{f'{word} that differ' if pairs.length == 1 else f'{word}s that differ in one'}; "
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
