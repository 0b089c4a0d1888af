"""Reads every residual stream of held-out lists, each beside another list of its length."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float

from analyses.experiment.given import own_or
from analyses.logit_lens import LensConfig
from analyses.logit_lens.figure import figure
from analyses.logit_lens.result import LensResult
from interp.methods.lens import (
    CANDIDATES,
    blank_candidates,
    depths,
    lens,
    numbered_blanks,
    preference,
    sorted_digits,
)
from interp.passes.packed import length_sorted, window
from interp.sites import Component, place_name
from interp.sorters.truth import Truth
from interp.support.progress import Progress
from interp.support.seeds import stream
from interp.task import SortBatch
from interp.transformer import Transformer

# See analyses.experiment.
__all__ = ["compute", "expected", "figure", "summary", "to_json", "verdicts"]


_WORDS = {"sorted": "{right}", "emitted": "what output row j emits", "blank": "BLANK"}
_LISTS_AT_ONCE = 48
_MADE = 0.9  # the answer is there from the depth on that has this share of the final rate
_VISIBLE = 0.75  # of forced choices: half of the way from chance to always


def compute(model: Transformer, settings: LensConfig, seed: int, progress: Progress) -> LensResult:
    """Read held-out lists of every length, each beside another one of its length."""
    task = model.task
    batch = own_or(task, lambda: task.held_out(settings.lists, seed))
    others = task.sample(len(batch), stream("lens others", seed), batch.lengths)
    places, n_blanks = depths(model.cfg.n_layers), len(numbered_blanks(task, task.n_outputs()))
    outputs = (len(batch), len(places), task.n_outputs())
    blanks = (len(batch), len(places), n_blanks)
    said = (len(batch), len(places), len(CANDIDATES), n_blanks)
    result = LensResult(
        [place_name(*place) for place in places],
        batch.lengths,
        torch.full(outputs, torch.nan),
        torch.zeros(outputs, dtype=torch.bool),
        torch.full(said, torch.nan),
        torch.full(said, torch.nan),
        torch.full(blanks, torch.nan),
        torch.full(blanks, torch.nan),
        task,
        seed,
    )
    progress.begin(len(batch), "lists")
    for index in length_sorted(batch, -(-len(batch) // _LISTS_AT_ONCE)):
        _read(model, batch[index], others[index], index, result)
        progress.step(len(index))
    return result


def _read(
    model: Transformer, batch: SortBatch, others: SortBatch, index: Any, into: LensResult
) -> None:
    """Fill in the lists of ``index``."""
    task, device = model.task, model.W_U.device
    mine, theirs = batch.tokens.to(device), others.tokens.to(device)
    view = window(task, batch)
    seen, beside = lens(model, mine, view), lens(model, theirs, view)

    rows = seen.at(range(task.first_output_row, view.stop))
    answers = sorted_digits(task, mine, len(rows.positions))
    into.right[index, :, : view.n_outputs] = rows.probability(answers).cpu()
    into.top[index, :, : view.n_outputs] = (rows.rank(answers) == 1).cpu()

    blanks = numbered_blanks(task, view.n_outputs)
    at = (index, slice(None), slice(len(blanks)))
    here, there = seen.at(blanks), beside.at(blanks)
    for number, tokens in enumerate(blank_candidates(task, mine, seen).unbind(1)):
        into.probability[index, :, number, : len(blanks)] = here.probability(tokens).cpu()
        into.rank[index, :, number, : len(blanks)] = here.rank(tokens).cpu()
    own, other = (sorted_digits(task, tokens, len(blanks)) for tokens in (mine, theirs))
    into.share[at] = here.among_digits().probability(own).cpu()
    into.preferred[at] = preference(here, there, own, other).cpu()


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: LensResult) -> dict[str, Any]:
    """What the lens says, where it can.

    ``answer_written_by``: the depth from which on the answer is on top (None if it never is).
    ``sorted_at_blanks``: True if sorted[j] is visible at blank j in the stream that the last layer
    reads; else None, for a lens cannot tell that something is *not* there.
    """
    rates = [result.answered(depth).value for depth in range(len(result.depths))]
    late = [depth for depth, rate in enumerate(rates) if rate < _MADE * rates[-1]]
    first = max(late) + 1 if late else 0
    told = result.told(result.last_read)
    return {
        "answer_written_by": result.depths[first] if rates[-1] > 0.5 else None,
        "sorted_at_blanks": True if told and told.low > _VISIBLE else None,
    }


def expected(truth: Truth) -> dict[str, Any]:
    """What is true of a compiled sorter, under the keys of :func:`verdicts`."""
    layer = max(truth.mlps | {layer for layer, _ in truth.heads})
    last = Component.RESID_POST if layer in truth.mlps else Component.RESID_MID
    return {
        "answer_written_by": place_name(last, layer),
        "sorted_at_blanks": "sorted" in truth.decodable,
    }


def summary(result: LensResult) -> list[str]:
    """The output rows by depth, the blanks by depth, and what that means."""
    lines = [
        f"{len(result.lengths)} held-out lists; every residual stream read by the unembedding.",
        f"Output rows where the {result.task.right_word} is the most probable token:",
    ]
    for depth, name in enumerate(result.depths):
        lines.append(f"  {name}: {result.answered(depth).percent()}")
    if result.told(0) is not None:
        lines.append(
            "Blank j (all but the last): probability and rank of 12, then the forced choice "
            f"of its own list's {result.task.right_at('j')} over another's (50 % is chance):"
        )
        lines += [f"  {name}: {_at_blanks(result, d)}" for d, name in enumerate(result.depths)]
    return [*lines, _finding(result)]


def _at_blanks(result: LensResult, depth: int) -> str:
    parts = []
    for number, name in enumerate(CANDIDATES):
        probability = result.mean(result.probability[:, depth, number])
        rank = result.mean(result.rank[:, depth, number])
        if probability and rank:
            words = _WORDS[name].format(right=result.task.right_at("j"))
            parts.append(f"{words} {probability.percent()}, rank {rank.value:.1f}")
    told = result.told(depth)
    return "; ".join([*parts, f"own list {told.percent() if told else '-'}"])


def _finding(result: LensResult) -> str:
    said, last = verdicts(result), len(result.depths) - 1
    final = f"{result.answered(last).percent()} of output rows (n = {len(result.lengths)} lists)"
    if said["answer_written_by"] is None:
        return f"The model hardly {result.task.rule.verb[0]}: its answer is right at {final}."
    where = result.depths.index(said["answer_written_by"])
    before = result.answered(where - 1).percent() if where else "nothing"
    made = f"The answer is there {result.depths[where]} (a step before {before}, at last {final})"
    told, read = result.told(result.last_read), result.depths[result.last_read]
    if not told:
        return f"{made}; there are no blanks to read."
    right = result.task.right_at("j")
    numbers = f"{told.percent()} of forced choices {read} (n = {told.n} lists)"
    if said["sorted_at_blanks"]:
        return f"{made}; blank j shows the last layer its list's {right}: {numbers}."
    trace = "a trace" if told.low > 0.5 else "nothing"
    return (
        f"{made}; in the directions that the unembedding reads, blank j shows {trace} of {right} "
        f"before the last layer ({numbers}); that does not say what it holds in other directions."
    )


def to_json(result: LensResult) -> dict[str, Any]:
    """Every estimate by depth, and the means by output and by blank."""

    def estimate(values: Any) -> dict[str, Any] | None:
        found = result.mean(values)
        return found.to_dict() if found else None

    return {
        "lists": len(result.lengths),
        "depths": [
            {
                "depth": name,
                "answered": result.answered(d).to_dict(),
                "right_by_output": _means(result.right[:, d]),
                "at_blanks": {
                    candidate: {
                        "probability": estimate(result.probability[:, d, c]),
                        "rank": estimate(result.rank[:, d, c]),
                    }
                    for c, candidate in enumerate(CANDIDATES)
                },
                "share_by_blank": _means(result.share[:, d]),
                "own_list_preferred": estimate(result.preferred[:, d]),
            }
            for d, name in enumerate(result.depths)
        ],
        "verdicts": verdicts(result),
    }


def _means(values: Float[torch.Tensor, "list place"]) -> list[float | None]:
    """By output or blank, over the lists that have it; None where none has."""
    return [None if mean != mean else mean for mean in values.nanmean(0).tolist()]
