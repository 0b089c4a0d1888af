"""What ``analyses.mechanism`` computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int

from analyses.mechanism import MechanismConfig
from analyses.mechanism.figure import figure
from analyses.mechanism.result import Judged, MechanismResult, Weights
from analyses.mechanism.turning import turning
from analyses.mechanism.words import MASSES, summary, to_json
from interp.methods.dial import equality, gathered, scores
from interp.methods.interchange import exchanged, record, writers
from interp.passes.forward import forward
from interp.passes.packed import length_sorted, window
from interp.passes.untouched import refuse_touched
from interp.programs.copy_and_count import COPY_AND_COUNT
from interp.programs.edits import KINDS, edited
from interp.programs.pairing import make_pool, pair_up
from interp.programs.prompts import Prompts, digits_said, right_prefixes, says, says_along
from interp.programs.soft import Decisions, SoftProgram, fit_soft
from interp.sites import Component
from interp.stats import Estimate, wilson
from interp.support.progress import Progress
from interp.task import N_DIGITS, SortBatch
from interp.transformer import Transformer

__all__ = ["compute", "figure", "summary", "to_json"]  # see analyses.experiment


LISTS = {"random lists": N_DIGITS, "one digit": 1, "two digits": 2, "three digits": 3}
"""Kinds of lists, by how many different digits they are drawn from."""


def compute(
    model: Transformer,
    settings: MechanismConfig,
    seed: int,
    progress: Progress,
) -> MechanismResult:
    """Find the head, read its weights, and fit the soft program."""
    refuse_touched(model, "the mechanism")
    progress.begin(len(LISTS) + 4, "mechanism")
    flips, head = _flips(model, settings, seed)
    progress.step()
    by_kind: dict[str, Decisions] = {}
    for kind, distinct in LISTS.items():
        batch = model.task.held_out(settings.lists, seed, distinct)
        by_kind[kind] = _decisions(model, batch, len(by_kind) * settings.lists)
        progress.step()
    together = _join(list(by_kind.values()))
    # Lists come in turn of every length: every other round of lengths is for the fit.
    fitted = _for_fit(together.list_number % settings.lists, model.task.max_len)
    soft = fit_soft(together.take(fitted), model.task.max_len)
    judged = [
        _judge(
            kind, rows.take(~_for_fit(rows.list_number % settings.lists, model.task.max_len)), soft
        )
        for kind, rows in by_kind.items()
    ]
    judged.append(_judge("edited prefixes", _edited(model, settings, seed), soft))
    progress.step()
    masses = _masses(model, head, model.task.held_out(min(96, settings.lists), seed))
    progress.step()
    read, turned = None, None
    if head[0] == 0:
        read, turned = _weights(model, head[1]), turning(model, head[1], settings.turned, seed)
    progress.step()
    return MechanismResult(flips, head, read, masses, together, soft, tuple(judged), turned, seed)


def _for_fit(number: Int[torch.Tensor, " row"], max_len: int) -> Bool[torch.Tensor, " row"]:
    """Every other list of every length, and of lengths that come once every other one."""
    return (number // max_len + number) % 2 == 0


def _judge(kind: str, rows: Decisions, soft: SoftProgram) -> Judged:
    return Judged(kind, rows.hard == rows.said, soft.says(rows) == rows.said, rows.list_number)


def _decisions(model: Transformer, batch: SortBatch, first: int) -> Decisions:

    inputs, said = right_prefixes(model.task, batch), says_along(model, batch).flatten()
    number = first + torch.arange(len(batch)).repeat_interleave(model.task.max_len)
    rows = _traced(inputs, said, number)
    scored = torch.arange(model.task.max_len) < batch.lengths[:, None]
    return rows.take(scored.flatten() & (rows.copies_out > 0))  # after a first output


def _edited(model: Transformer, config: MechanismConfig, seed: int) -> Decisions:

    each = -(-config.lists // len(KINDS))
    prompts = sum((edited(model.task, kind, each, seed) for kind in KINDS), Prompts((), ()))
    return _traced(prompts.inputs(), says(model, prompts), torch.arange(len(prompts)))


def _traced(
    inputs: dict[str, Any], said: Int[torch.Tensor, " row"], number: Int[torch.Tensor, " row"]
) -> Decisions:

    trace = COPY_AND_COUNT.trace_batch(inputs)
    last, listed, out, larger = (
        trace[name] for name in ("last", "copies_in_list", "copies_out", "larger")
    )
    return Decisions(last, listed, out, larger, said, number)


def _join(parts: Sequence[Decisions]) -> Decisions:

    joined = (torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Decisions))
    return Decisions(*joined)


def _flips(
    model: Transformer, config: MechanismConfig, seed: int
) -> tuple[dict[str, Estimate], tuple[int, int]]:
    """IIA of ``stay`` at every head and MLP, and the head where it is highest."""

    pool = make_pool(model.task, config.prompts, seed)
    rows = record(model, pool)
    usable = COPY_AND_COUNT.answer_batch(pool.inputs()) == digits_said(rows.logits).cpu()
    pairs = pair_up(COPY_AND_COUNT, "stay", pool, config.pairs, seed, "alike", usable)
    if not len(pairs):
        return {}, (0, 0)
    base, source = rows.pick(pairs.base), rows.pick(pairs.source)
    flips, best = {}, (-1.0, (0, 0))
    for part in writers(model):
        said = digits_said(exchanged(model, base, source, [part])).cpu()
        rate = wilson(int((said == pairs.counterfactual).sum()), len(pairs))
        flips[part.words] = rate
        if part.site.heads and rate.value > best[0]:
            best = rate.value, (part.site.layer, part.site.heads[0])
    return flips, best[1]


@torch.no_grad()
def _masses(
    model: Transformer, head: tuple[int, int], batch: SortBatch
) -> Float[torch.Tensor, " kind"]:
    """Mean attention of the head over output rows after the first, by kind of key."""

    task, total, n_rows = model.task, torch.zeros(len(MASSES)), 0
    for index in length_sorted(batch, -(-len(batch) // 24)):
        part = batch[index].to(model.W_U.device)
        view = window(task, part, digits_only=True)
        run = forward(model, part.tokens, view, keep=[(Component.PATTERN, head[0])])
        pattern = run.at(Component.PATTERN, head[0])[:, head[1]]
        tokens, pos = part.tokens[:, view.start : view.stop], torch.arange(view.start, view.stop)
        first = run.frame(Component.PATTERN, head[0]).position
        for row in range(task.first_output_row + 1, view.stop):
            known = part.lengths > row - task.first_output_row
            own = tokens == tokens[:, row - view.start, None]
            masks = _kinds(model, tokens, pos, own, row)
            weights = pattern[known, row - first]
            total += torch.stack([(weights * mask[known]).sum() for mask in masks])
            n_rows += int(known.sum())
    return total / max(n_rows, 1)


def _kinds(
    model: Transformer,
    tokens: Int[torch.Tensor, "list here"],
    pos: Int[torch.Tensor, " here"],
    own: Bool[torch.Tensor, "list here"],
    row: int,
) -> list[Bool[torch.Tensor, "list here"]]:
    """Keys by ``MASSES``."""
    task, digit = model.task, tokens < N_DIGITS
    listed = digit & (pos < task.sep_pos)
    out = digit & (pos > task.first_output_row) & (pos <= row)
    blanks = ((pos > task.sep_pos) & (pos <= task.first_output_row)).expand_as(own)
    sep = (pos == task.sep_pos).expand_as(own)
    return [listed & own, out & own, listed & ~own, out & ~own, blanks, sep]


@torch.no_grad()
def _weights(model: Transformer, head: int) -> Weights:
    """Scores and outputs of a head of layer 0, for every digit at every position."""

    own, same = torch.arange(N_DIGITS, device=model.W_U.device), torch.eye(N_DIGITS).bool()
    tables, highest = [], []
    for every in scores(model, head):
        highest.append((every.argmax(1) == own[:, None, None]).double().mean().cpu())
        tables.append(every.mean((2, 3)).cpu())
    table = torch.stack(tables)
    w_o = model.blocks[0].attn.W_O[head]
    written = [(values @ w_o).mean(1).cpu() for values in gathered(model, head)]
    apart = written[0] - written[1]
    size = (written[0].norm(dim=1) + written[1].norm(dim=1)) / 2
    unit = torch.nn.functional.normalize(apart, dim=1)
    return Weights(
        table,
        equality(table),
        torch.stack(highest).float(),
        apart.norm(dim=1) / size,
        (unit @ unit.T)[~same].mean(),
    )
