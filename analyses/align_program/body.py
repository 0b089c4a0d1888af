"""What ``analyses.align_program`` computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Int

from analyses.align_program import AUTO, AlignConfig
from analyses.align_program.figure import figure
from analyses.align_program.result import Alignment, AlignResult, PartSet
from analyses.align_program.subspaces import search_all
from analyses.align_program.words import summary, to_json, verdicts
from interp.methods.interchange import Part, Rows, all_parts, exchanged, record, writers
from interp.programs.catalogue import PROGRAMS, program_of
from interp.programs.pairing import Pairs, Sources, make_pool, pair_up
from interp.programs.program import Program
from interp.programs.prompts import Prompts, check_lengths, digits_said
from interp.stats import Estimate, wilson
from interp.support.progress import Progress
from interp.transformer import Transformer

__all__ = ["compute", "figure", "summary", "to_json", "verdicts"]  # see analyses.experiment


FAMILIES: tuple[Sources, ...] = ("alike", "any", "control")


def compute(
    model: Transformer,
    settings: AlignConfig,
    seed: int,
    progress: Progress,
) -> AlignResult:
    """Exchange every part for every variable of the program; see the module's description."""
    check_lengths(model.task)
    pool = make_pool(model.task, settings.prompts, seed)
    rows = record(model, pool)
    said = digits_said(rows.logits).cpu()
    program = _chosen(settings.program, pool.inputs(), said)
    usable = program.answer_batch(pool.inputs()) == said
    foreign, foreign_variable = _foreign(program)
    bench = _Bench(model, pool, rows, usable, said, settings, seed)
    parts = all_parts(model)
    wanted = [(program, name, family) for name in program.names for family in FAMILIES]
    wanted.append((foreign, foreign_variable, FAMILIES[1]))
    progress.begin(len(wanted), "variables")
    alignments, sets = [], []
    for owner, name, family in wanted:
        pairs = bench.pairs(owner, name, family)
        if len(pairs):
            alignments.append(bench.align(owner, name, family, pairs, parts))
            if owner is program and family != "control":
                sets.append(bench.smallest_set(alignments[-1], pairs, parts))
        progress.step()
    other = (foreign, foreign_variable)
    subspaces = search_all(model, pool, rows, usable, program, other, settings, seed, progress)
    return AlignResult(
        program,
        wilson(int(usable.sum()), len(usable)),
        tuple(parts),
        tuple(alignments),
        f"{foreign.name}.{foreign_variable}",
        tuple(sets),
        tuple(subspaces),
        settings,
        seed,
    )


def _chosen(name: str, inputs: dict[str, torch.Tensor], said: torch.Tensor) -> Program:

    if name != AUTO:
        return program_of(name)
    return max(PROGRAMS, key=lambda p: int((p.answer_batch(inputs) == said).sum()))


def _foreign(program: Program) -> tuple[Program, str]:
    """A variable that the program does not have, of a program that is another function."""

    if "position" in program.names:
        return program_of("copy-and-count"), "copies_out"
    return program_of("rank"), "position"


@dataclass(frozen=True)
class _Bench:
    """The model and the prompts, ready for exchanges."""

    model: Transformer
    pool: Prompts
    rows: Rows
    usable: Bool[torch.Tensor, " prompt"]
    said: Int[torch.Tensor, " prompt"]
    config: AlignConfig
    seed: int

    def pairs(self, program: Program, variable: str, family: Sources) -> Pairs:

        n = self.config.pairs
        return pair_up(program, variable, self.pool, n, self.seed, family, self.usable)

    def answers(
        self, pairs: Pairs, sets: Sequence[Sequence[Part]]
    ) -> Int[torch.Tensor, "set pair"]:
        """What the model says with all parts of a set exchanged."""

        base, source = self.rows.pick(pairs.base), self.rows.pick(pairs.source)
        found = [digits_said(exchanged(self.model, base, source, parts)) for parts in sets]
        return torch.stack(found).cpu()

    def align(
        self, program: Program, variable: str, family: str, pairs: Pairs, parts: Sequence[Part]
    ) -> Alignment:
        said = self.answers(pairs, [[part] for part in parts])
        source = self.said[pairs.source]
        return Alignment(
            program.name, variable, family, pairs.answer, source, pairs.counterfactual, said
        )

    def smallest_set(self, alone: Alignment, pairs: Pairs, parts: Sequence[Part]) -> PartSet:
        """Singles, then pairs at the row, then the best set so far with one more part.

        Parts are heads and MLPs, at the row and elsewhere, and what the row's heads read. Where
        no such set reaches the bar, what all heads read in one region is tried. What the others
        do without is left out in the end.

        Args:
            alone: what every one of ``parts`` does by itself.
        """

        row, bar = writers(self.model), self.config.bar * len(pairs)
        singles = [p for p, part in enumerate(parts) if part.adds or part.read]
        grows = [*row, *(parts[p] for p in singles if parts[p].read)]
        best = _top([(parts[p],) for p in singles], alone.said[singles], pairs)
        for size in range(2, self.config.most_parts + 1):
            if best.hits >= bar:
                break
            sets = _grown(best.parts, grows) + (list(combinations(row, 2)) if size == 2 else [])
            found = _top(sets, self.answers(pairs, sets), pairs)
            best = found if found.hits > best.hits else best
        if best.hits < bar:
            best = self._all_alike(best, parts, pairs, bar)
        best = self._pruned(best, pairs, bar)
        names, share = tuple(part.words for part in best.parts), _share(best.hits, len(pairs))
        missed = self._misses(pairs, best.said)
        return PartSet(alone.variable, alone.family, names, share, best.hits >= bar, missed)

    def _all_alike(self, best: _Found, parts: Sequence[Part], pairs: Pairs, bar: float) -> _Found:
        """What every head reads in one region, if that reaches the bar and what was grown does not.

        A variable that all heads weigh where they read it is in none of them, nor in a few.
        """
        regions = dict.fromkeys(part.where for part in parts if part.read)
        sets = [tuple(p for p in parts if p.read and p.where == where) for where in regions]
        found = _top(sets, self.answers(pairs, sets), pairs) if sets else best
        return found if found.hits >= bar else best

    def _pruned(self, best: _Found, pairs: Pairs, bar: float) -> _Found:
        """Without parts that the others do as well without, or are above the bar without."""
        while len(best.parts) > 1:
            sets = list(combinations(best.parts, len(best.parts) - 1))
            found = _top(sets, self.answers(pairs, sets), pairs)
            if found.hits < min(best.hits, bar):
                break
            best = found
        return best

    def _misses(self, pairs: Pairs, said: torch.Tensor) -> tuple[int, int, int]:
        wrong = said != pairs.counterfactual
        own, other = said == pairs.answer, said == self.said[pairs.source]
        counts = (wrong & own, wrong & other & ~own, wrong & ~own & ~other)
        first, second, third = (int(c.sum()) for c in counts)
        return first, second, third


@dataclass(frozen=True)
class _Found:
    """A set of parts and what the model says with all of them exchanged."""

    parts: tuple[Part, ...]
    said: Int[torch.Tensor, " pair"]
    hits: int


def _top(
    sets: Sequence[tuple[Part, ...]], said: Int[torch.Tensor, "set pair"], pairs: Pairs
) -> _Found:
    hits = (said == pairs.counterfactual).sum(1)
    top = int(hits.argmax())
    return _Found(sets[top], said[top], int(hits[top]))


def _grown(kept: tuple[Part, ...], row: Sequence[Part]) -> list[tuple[Part, ...]]:
    return [(*kept, part) for part in row if part not in kept]


def _share(hits: int, n: int) -> Estimate:

    return wilson(hits, n)
