"""What the answer is when one number of the head is set, and when it is taken from another run."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.mechanism.result import Exchanged, Turned
from interp.methods.dial import NUMBERS, Dial, beside, dial_of, turned
from interp.methods.interchange import Part, Rows, exchanged, record
from interp.programs.copy_and_count import COPY_AND_COUNT
from interp.programs.edits import KINDS, edited
from interp.programs.prompts import Prompts, digits_said
from interp.sites import Component, Site
from interp.transformer import Transformer

_OVERDRAWN = "repeat"  # of this kind are the prompts whose right prefixes the number is set in


def turning(model: Transformer, head: int, prompts: int, seed: int) -> Turned | None:
    """Set the number of this head of layer 0; None where it has none, or there is no right prefix
    to set it in.

    Args:
        prompts: wrong prefixes of each kind.
    """
    if (dial := dial_of(model, head)) is None:
        return None
    exchanges, kept = [], None
    for kind in KINDS:
        wrong = edited(model.task, kind, prompts, seed)
        index, right = beside(wrong)
        if len(index):
            source, base = record(model, wrong.take(index)), record(model, right)
            exchanges.append(_exchanged(model, kind, dial, base, source))
            if kind == _OVERDRAWN:
                kept = right, base
    if kept is None:
        return None
    right, base = kept
    numbers = torch.cat([dial.read(base), dial.read(record(model, _one_shorter(right)))])
    said = [_said(turned(model, base, dial, number.expand(len(base)))) for number in NUMBERS]
    trace = COPY_AND_COUNT.trace_batch(right.inputs())
    return Turned(
        head,
        NUMBERS,
        torch.stack(said),
        trace["last"],
        trace["larger"],
        _most(numbers),
        tuple(exchanges),
    )


def _exchanged(model: Transformer, kind: str, dial: Dial, base: Rows, source: Rows) -> Exchanged:
    wanted, numbers = _said(source.logits), dial.read(source)

    def says_it(head: int) -> Tensor:
        part = Part(Site(Component.Z, 0, heads=(head,)))
        return _said(exchanged(model, base, source, [part])) == wanted

    others = [says_it(other) for other in range(model.cfg.n_heads) if other != dial.head]
    return Exchanged(
        kind,
        _most(numbers),
        _said(base.logits) == wanted,
        _said(turned(model, base, dial, numbers)) == wanted,
        says_it(dial.head),
        torch.stack(others) if others else torch.zeros(0, len(base), dtype=torch.bool),
    )


def _one_shorter(prompts: Prompts) -> Prompts:
    """Without the last output of each, where more than one copy of it is out."""
    kept = [(v, p[:-1]) for v, p in prompts if len(p) > 1 and p[-2] == p[-1]]
    return Prompts(tuple(v for v, _ in kept), tuple(p for _, p in kept))


def _said(logits: Float[Tensor, "prompt d_vocab_out"]) -> Int[Tensor, " prompt"]:
    return digits_said(logits).cpu()


def _most(numbers: Float[Tensor, " prompt"]) -> tuple[float, float]:
    low, high = numbers.float().quantile(torch.tensor([0.05, 0.95])).tolist()
    return low, high
