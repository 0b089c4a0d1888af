"""Attributes held-out lists, then puts gradients on trial on minimal pairs."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool

from analyses.attribution import AttributionConfig
from analyses.attribution.figure import figure
from analyses.attribution.result import (
    DIRECTIONS,
    METHODS,
    SOURCES,
    AttributionResult,
    DirectResult,
    PatchingResult,
    as_json,
    share_of_blanks,
)
from analyses.experiment.given import own_or
from analyses.experiment.minimal_pairs import understood
from interp.answers.pairs import Pairs, make_pairs, sample_pairs
from interp.methods.agreement import Agreement
from interp.methods.attribution import Kind, Part, against_other_digits, direct_paths
from interp.methods.attribution_patching import (
    attributed_effects,
    exact_effects,
    possible_effects,
)
from interp.methods.pair_runs import both_ways
from interp.passes.packed import Window, length_sorted, window
from interp.sites import Component, Site, all_sites, head_name, head_sites, place_name
from interp.sorters.truth import Truth
from interp.stats import Estimate
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.task import Region, SortBatch, SortTask
from interp.transformer import Transformer

# See analyses.experiment.
__all__ = ["compute", "expected", "figure", "summary", "to_json", "verdicts"]


_LISTS_AT_ONCE = 48
_WRITES = 0.05  # a writer's share of the logit difference, at least


# -- compute ------------------------------------------------------------------------------------


def compute(
    model: Transformer, settings: AttributionConfig, seed: int, progress: Progress
) -> AttributionResult:
    """Attribute held-out lists, then put gradients on trial on minimal pairs."""
    length = model.task.nearest_length(settings.length)
    return AttributionResult(
        direct_result(model, _lists(model.task, settings, seed), progress),
        patching_result(
            model, pairs_of(model.task, settings.pairs, length, seed), settings.steps, progress
        ),
        length,
        model.task,
        seed,
    )


def _lists(task: SortTask, settings: AttributionConfig, seed: int) -> SortBatch:
    return own_or(task, lambda: task.held_out(settings.lists, seed))


def direct_result(
    model: Transformer, batch: SortBatch, progress: Progress = SILENT
) -> DirectResult:
    """Direct logit attribution of every output of every list."""
    task, cfg = model.task, model.cfg
    progress.begin(len(batch), "direct attribution")
    filled: dict[str, Any] = {}
    for index in length_sorted(batch, -(-len(batch) // _LISTS_AT_ONCE)):
        names, values, total, by_source = _direct(model, batch[index].to(model.W_U.device))
        if not filled:
            shape = (len(batch), task.n_outputs())
            filled["values"] = torch.full((*shape, len(names)), torch.nan)
            filled["total"] = torch.full(shape, torch.nan)
            n_heads = cfg.n_layers * cfg.n_heads
            filled["by_source"] = torch.full((len(batch), n_heads, len(SOURCES)), torch.nan)
        filled["values"][index, : values.shape[1]] = values.cpu()
        filled["total"][index, : values.shape[1]] = total.cpu()
        filled["by_source"][index] = by_source.cpu()
        progress.step(len(index))
    if bool(filled["total"].isnan().all()):
        raise UserError(f"the right answers to these lists hold no {task.symbols.word}")
    error = float((filled["values"].sum(-1) - filled["total"]).abs().nan_to_num().max())
    heads = tuple(part for part in names if part.kind is Kind.HEAD)
    return DirectResult(parts=names, heads=heads, error=error, **filled)


def _direct(model: Transformer, batch: SortBatch) -> tuple[Any, Any, Any, Any]:
    """Parts, their values, the total, and heads by the region that they read."""
    view = window(model.task, batch, digits_only=True)
    target = against_other_digits(batch.tokens, view)
    paths = direct_paths(model, batch.tokens, view, target)
    parts, counted = paths.parts(), (target != 0).any(-1)
    positions = torch.arange(view.start, view.stop, device=batch.tokens.device)
    spans = [model.task.region(source, view.longest) for source in SOURCES]
    member = torch.stack([(positions >= s.start) & (positions < s.stop) for s in spans]).float()
    by_source = []
    for layer in range(model.cfg.n_layers):
        read = (paths.by_source(layer) @ member.T).sum(1)  # target is 0 past a list's end
        by_source.append(read / counted.sum(1)[:, None, None])
    beyond = ~counted
    return (
        parts.names,
        parts.values.masked_fill(beyond[..., None], torch.nan),
        parts.total.masked_fill(beyond, torch.nan),
        torch.cat(by_source, 1),
    )


def pairs_of(task: SortTask, n_pairs: int, length: int, seed: int) -> Pairs:
    """Minimal pairs; of lists of one digit too, which part at the first output."""
    if length > 1:
        return sample_pairs(task, n_pairs, length, seed)
    n = task.n_symbols
    clean = [[number % n] for number in range(n_pairs)]
    return make_pairs(task, clean, [[(digit + 1) % n] for (digit,) in clean])


def patching_result(
    model: Transformer, pairs: Pairs, steps: int, progress: Progress = SILENT
) -> PatchingResult:
    """Every site at every position in both directions, exactly and by each method."""
    n_layers = model.cfg.n_layers
    sites = sorted(
        all_sites(n_layers) + head_sites(n_layers, model.cfg.n_heads), key=lambda s: s.layer
    )
    both = both_ways(model, pairs)
    view = both[0].view
    progress.begin(2 * len(pairs) * len(sites) * (view.stop - view.start), "patching")
    exact = torch.stack([exact_effects(runs, sites, progress) for runs in both])
    progress.begin(len(METHODS) * len(both), "gradients")
    guessed = []
    for method in METHODS:
        for runs in both:
            guessed.append(attributed_effects(runs, sites, method, steps))
            progress.step()
    return PatchingResult(
        sites,
        model.task.labels(pairs.length)[view.start : view.stop],
        _blanks(view),
        torch.stack(guessed).unflatten(0, (len(METHODS), -1)).cpu(),
        exact.cpu(),
        torch.stack([possible_effects(runs, sites) for runs in both]).cpu(),
        torch.stack([runs.gap for runs in both]).cpu(),
        understood(both[0].metrics).cpu(),
    )


def _blanks(view: Window) -> Bool[torch.Tensor, " here"]:
    blanks, here = view.task.region(Region.BLANKS), torch.arange(view.start, view.stop)
    return (here >= blanks.start) & (here < blanks.stop)


# -- words and JSON -----------------------------------------------------------------------------


def writers(direct: DirectResult, seed: int) -> list[str] | None:
    """Parts that certainly add more than a twentieth of the logit difference, or take as much.

    None where the model's answer does not stand out: there is nothing to share out.
    """
    total = direct.mean_total(seed)
    if total.low <= 0:
        return None
    least = _WRITES * total.value
    found = [(part, direct.mean_part(n, seed)) for n, part in enumerate(direct.parts)]
    return [part.words for part, e in found if e.low > least or e.high < -least]


def verdicts(result: AttributionResult) -> dict[str, Any]:
    """``writers``: who writes the answer. ``blanks_carry``: whether more than half of the effect
    of a changed digit goes into the last layer through the blanks, by integrated gradients (None
    without pairs that the model gets right)."""
    carried = result.blanks_carry("integrated", 0)
    return _verdicts(result.direct, carried, bool(result.patching.blanks.any()), result.seed)


def quick_verdicts(model: Transformer, settings: AttributionConfig, seed: int) -> dict[str, Any]:
    """:func:`verdicts`, without the methods and sites that they do not rest on."""
    direct = direct_result(model, _lists(model.task, settings, seed))
    length = model.task.nearest_length(settings.length)
    runs = both_ways(model, pairs_of(model.task, settings.pairs, length, seed))[0]
    last = Site(Component.RESID_PRE, model.cfg.n_layers - 1)
    effects = attributed_effects(runs, [last], "integrated", settings.steps)[:, 0]
    blanks = _blanks(runs.view)
    carried = share_of_blanks(effects, blanks, runs.gap, understood(runs.metrics), seed)
    return _verdicts(direct, carried, bool(blanks.any()), seed)


def _verdicts(
    direct: DirectResult, carried: Estimate | None, any_blanks: bool, seed: int
) -> dict[str, Any]:
    return {
        "writers": writers(direct, seed),
        "blanks_carry": carried.value > 0.5 if carried else (None if any_blanks else False),
    }


def expected(truth: Truth) -> dict[str, Any]:
    """What is true of a compiled sorter, under the keys of :func:`verdicts`.

    Where blank i hands sorted[i] over to output i, the last head writes the answer; the MLPs have
    worked it out, but at the blanks. In all other sorters the MLPs work at the output rows, if
    there is anything to work out.
    """
    if truth.blank_output == "diagonal" or not truth.mlps:
        names = [f"head {head_name(max(truth.heads))}"]
    else:
        names = [place_name(Component.MLP_OUT, layer) for layer in sorted(truth.mlps)]
    return {"writers": names, "blanks_carry": truth.mediated > 0.5}


def logits(estimate: Estimate) -> str:
    """``3.21 [3.05, 3.40]``"""
    if estimate.n == 1:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def summary(result: AttributionResult) -> list[str]:
    """Who writes the answer, how good the guesses are, and what that means."""
    direct, total, task = result.direct, result.total(), result.task
    lines = [
        f"{len(direct.total)} held-out lists: the {task.right_word}'s logit is {logits(total)} "
        f"above the mean of the other {task.symbols.word}s' (parts sum to it within "
        f"{direct.error:.0e}). Written by:"
    ]
    found = [(result.part(n), part) for n, part in enumerate(direct.parts)]
    found.sort(key=lambda each: -abs(each[0].value))
    for estimate, part in found:
        if abs(estimate.value) >= max(_WRITES * abs(total.value), 0.005):
            lines.append(f"  {part.words}: {logits(estimate)}{_read_from(result, part)}")
    n, right = len(result.patching.understood), int(result.patching.understood.sum())
    lines.append(
        f"{n} pairs of lists of {task.of_length(result.length)} that differ in one (both answers "
        f"right in {right}): guesses against exact patching, at all sites and positions:"
    )
    for method in METHODS:
        for number, direction in enumerate(DIRECTIONS):
            lines.append(f"  {method}, {direction}: {_in_words(result.agreement(method, number))}")
    return [*lines, _carry_words(result), _finding(result)]


def _read_from(result: AttributionResult, part: Part) -> str:
    """`` (digits 2.10, blanks 0.35)`` for a head."""
    if part not in result.direct.heads:
        return ""
    head = result.direct.heads.index(part)
    by = [(result.source(head, s).value, source.value) for s, source in enumerate(SOURCES)]
    shown = [f"{name} {value:.2f}" for value, name in sorted(by, reverse=True) if abs(value) > 0.05]
    return f" ({', '.join(shown)})" if shown else ""


def _in_words(found: Agreement) -> str:
    names = ("rank correlation", "linear correlation", "share of the total")
    values = (found.rank, found.linear, found.recovered)
    return ", ".join(
        f"{name} {logits(value) if value else 'undefined'}"
        for name, value in zip(names, values, strict=True)
    )


def _carry_words(result: AttributionResult) -> str:
    carried = {m: result.blanks_carry(m, 0) for m in ("exact", *METHODS)}
    said = [f"{m} {e.percent(0)}" for m, e in carried.items() if e]
    if not said:
        return "No blanks, or no pair that the model gets right: no share of theirs to tell."
    return (
        "Into the last layer the blanks (all but the last, one at a time, summed) carry of the "
        f"whole effect, denoising: {', '.join(said)}."
    )


def _finding(result: AttributionResult) -> str:
    found, n_lists = writers(result.direct, result.seed), len(result.direct.total)
    if found is None:
        wrote = f"the {result.task.right_word} does not stand out (n = {n_lists} lists)"
    else:
        names = ", ".join(found) or "many parts, none above a twentieth"
        wrote = f"the answer is written by {names} (n = {n_lists} lists)"
    plain, line = (result.agreement(method, 0) for method in ("gradient", "integrated"))
    if not (plain.rank and plain.recovered and line.rank and line.recovered):
        return f"Direct attribution: {wrote}; the exact sweep has no effects to rank."
    n = plain.rank.n
    return (
        f"Direct attribution: {wrote}. Against exact patching (n = {n} pairs, denoising) plain "
        f"gradients have a rank correlation of {logits(plain.rank)} and sum to "
        f"{plain.recovered.percent(0)} of the effects, integrated ones to {logits(line.rank)} and "
        f"{line.recovered.percent(0)}."
    )


def to_json(result: AttributionResult) -> dict[str, Any]:
    """Every part and every agreement with intervals, and the verdicts."""
    return {**as_json(result), "verdicts": verdicts(result)}
