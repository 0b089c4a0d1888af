"""What ``analyses.one_reader`` computes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from jaxtyping import Int

from analyses.one_reader import OneReaderConfig
from analyses.one_reader.figure import figure
from analyses.one_reader.result import CUTS, RIGHT, Exchanged, Kind, OneReaderResult
from analyses.one_reader.words import rows, summary, to_json, verdicts
from interp.methods.interchange import Part, Rows, exchanged, recomputed, record, writers
from interp.methods.one_reader import OTHERS, OneReader, one_reader
from interp.programs.edits import KINDS, edited
from interp.programs.prompts import Prompts, check_lengths, digits_said
from interp.sites import Component, Site
from interp.support.progress import SILENT, Progress
from interp.task import N_DIGITS, SortTask
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json", "verdicts"]  # see analyses.experiment

_FEW = 24  # prompts of every kind where only verdicts are wanted
_AT_ONCE = 120  # prompts or pairs whose keys and values are held at a time


def compute(
    model: Transformer, settings: OneReaderConfig, seed: int, progress: Progress
) -> OneReaderResult:
    """Read the program off and ask it and the model about every prompt.

    A model of one layer is this program.

    Raises:
        UserError: for lists of fewer than 3 digits.
    """
    judged = _judged(model, settings, seed)
    reader, kinds = _all_asked(model, judged, settings, seed, progress)
    parts = _exchanged(model, reader, sum(judged.values(), _none()), settings.pairs, seed)
    progress.step()
    known = {name: len(table) for name, table in reader.tables.items()}
    return OneReaderResult(kinds, parts, known, settings, seed)


def quick_verdicts(model: Transformer, settings: OneReaderConfig, seed: int) -> dict[str, bool]:
    """:func:`verdicts`, of few prompts and without exchanges, on which they do not rest."""
    few = replace(settings, prompts=_FEW, right=_FEW, examples=_FEW)
    _, kinds = _all_asked(model, _judged(model, few, seed), few, seed, SILENT)
    return verdicts(OneReaderResult(kinds, (), {}, few, seed))


def _judged(model: Transformer, settings: OneReaderConfig, seed: int) -> dict[str, Prompts]:
    check_lengths(model.task)
    return _prompts(model.task, settings.prompts, settings.right, seed)


def _all_asked(
    model: Transformer,
    judged: Mapping[str, Prompts],
    settings: OneReaderConfig,
    seed: int,
    progress: Progress,
) -> tuple[OneReader, tuple[Kind, ...]]:
    """The program, and what it and the model say to prompts of every kind."""
    others = _prompts(model.task, settings.examples, settings.examples, seed + 1)
    progress.begin(len(judged) + 2, "prompts")
    mean_of = sum((p.without(judged[name]) for name, p in others.items()), _none())
    reader = one_reader(model, mean_of, settings.counts)
    progress.step()
    kinds = []
    for name, prompts in judged.items():
        kinds.append(_asked(model, reader, name, prompts))
        progress.step()
    return reader, tuple(kinds)


def _none() -> Prompts:
    return Prompts((), ())


def _prompts(task: SortTask, each: int, right: int, seed: int) -> dict[str, Prompts]:
    """Right prefixes, and every kind of wrong one that there is in the task."""
    found = {RIGHT: _right(task, right, seed)}
    found |= {name: edited(task, name, each, seed) for name in KINDS}
    return {name: prompts for name, prompts in found.items() if len(prompts)}


def _right(task: SortTask, n: int, seed: int) -> Prompts:
    """Random lists, each with its answer up to a random place; the first output, too."""
    chance = random.Random(f"{seed} right")
    lengths = [chance.randint(1, task.max_len) for _ in range(n)]
    lists = [tuple(chance.randrange(N_DIGITS) for _ in range(length)) for length in lengths]
    prefixes = [tuple(sorted(values)[: chance.randrange(len(values))]) for values in lists]
    return Prompts(tuple(lists), tuple(prefixes))


def _asked(model: Transformer, reader: OneReader, name: str, prompts: Prompts) -> Kind:
    said, cut = [], []
    for index in torch.arange(len(prompts)).split(_AT_ONCE):
        some = prompts.take(index)
        held = record(model, some)
        said.append(_digits(held))
        cuts = (recomputed(model, reader.cut(held, some, one)) for one in CUTS.values())
        cut.append(torch.stack([_digits(one) for one in cuts]))
    return Kind(name, torch.cat(said), torch.cat(cut, 1))


def _digits(held: Rows) -> Int[torch.Tensor, " prompt"]:
    return digits_said(held.logits).cpu()


# -- parts of the row ---------------------------------------------------------------------------


def _exchanged(
    model: Transformer, reader: OneReader, pool: Prompts, n: int, seed: int
) -> tuple[Exchanged, ...]:
    """Between any two prompts, whatever differs."""
    chance = torch.Generator().manual_seed(seed)
    base, source = torch.randint(len(pool), (2, n), generator=chance)
    found: dict[str, list[tuple[torch.Tensor, ...]]] = {}
    parts = _parts(model)
    for index in torch.arange(n).split(_AT_ONCE):
        own, own_cut = _held(model, reader, pool.take(base[index]))
        other, other_cut = _held(model, reader, pool.take(source[index]))
        for name, part in parts.items():
            said = digits_said(exchanged(model, own, other, [part])).cpu()
            program = digits_said(exchanged(model, own_cut, other_cut, [part])).cpu()
            found.setdefault(name, []).append((said, program, _digits(own)))
    return tuple(
        Exchanged(name, *map(torch.cat, zip(*each, strict=True))) for name, each in found.items()
    )


def _held(model: Transformer, reader: OneReader, prompts: Prompts) -> tuple[Rows, Rows]:
    """As the model has them, and as the program has."""
    held = record(model, prompts)
    return held, recomputed(model, reader.cut(held, prompts, OTHERS))


def _parts(model: Transformer) -> Mapping[str, Part]:
    """What adds to the row's stream, and all heads of a layer together."""
    return {part.words: part for part in _in_order(model)}


def _in_order(model: Transformer) -> Iterator[Part]:
    """Layer by layer: its heads, all of them, its MLP."""
    for part in writers(model):
        if part.site.component is Component.MLP_OUT:
            yield Part(Site(Component.ATTN_OUT, part.site.layer))
        yield part
