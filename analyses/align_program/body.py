"""What ``analyses.align_program`` computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Int

from analyses.align_program import AUTO, AlignConfig, words
from analyses.align_program import figure as drawing
from analyses.align_program.subspaces import Subspace, search_all
from interp.methods.interchange import Part, Rows, all_parts, exchanged, record, writers
from interp.programs.catalogue import PROGRAMS, program_of
from interp.programs.pairing import Pairs, Sources, make_pool, pair_up
from interp.programs.program import Program
from interp.programs.prompts import Prompts, digits_said
from interp.stats import Estimate, wilson
from interp.support.progress import Progress
from interp.transformer import Transformer

FAMILIES: tuple[Sources, ...] = ("alike", "any", "control")


@dataclass(frozen=True)
class Alignment:
    """One variable, one kind of source: what the model says when each part is exchanged."""

    program: str
    variable: str
    family: str
    """One of ``FAMILIES``."""
    answer: Int[torch.Tensor, " pair"]
    """The program's for the base as it is, and the model's."""
    source_answer: Int[torch.Tensor, " pair"]
    counterfactual: Int[torch.Tensor, " pair"]
    said: Int[torch.Tensor, "part pair"]

    @property
    def hits(self) -> Bool[torch.Tensor, "part pair"]:
        """Where the model says the counterfactual."""
        return self.said == self.counterfactual

    def accuracy(self, part: int) -> Estimate:
        """IIA of a part, with a Wilson interval: every base is used once."""

        return wilson(int(self.hits[part].sum()), len(self.counterfactual))


@dataclass(frozen=True)
class PartSet:
    """The smallest set of heads and MLPs that reaches the bar together, or the best there is."""

    variable: str
    family: str
    parts: tuple[str, ...]
    accuracy: Estimate
    reached: bool
    misses: tuple[int, int, int]
    """Of the pairs it gets wrong: the model says the base's answer, the source's, another."""


@dataclass(frozen=True)
class AlignResult:
    """Every variable at every part."""

    program: Program
    agreement: Estimate
    """Prompts of the pool to which the model says what the program says; only these are used."""
    parts: tuple[Part, ...]
    alignments: tuple[Alignment, ...]
    """Of the program's variables, in order; then of one that it does not have."""
    foreign: str
    """That variable, with its program: ``rank.position``."""
    sets: tuple[PartSet, ...]
    subspaces: tuple[Subspace, ...]
    config: AlignConfig
    seed: int

    def of(self, variable: str, family: str) -> Alignment | None:
        """None where there are no such pairs."""
        found = (a for a in self.own if (a.variable, a.family) == (variable, family))
        return next(found, None)

    @property
    def own(self) -> list[Alignment]:
        """Without the foreign variable."""
        return [a for a in self.alignments if a.program == self.program.name]


def compute(
    model: Transformer,
    settings: AlignConfig,
    seed: int,
    progress: Progress,
) -> AlignResult:
    """Exchange every part for every variable of the program; see the module's description."""
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
        """Singles, then pairs at the row, then the best set so far with one more part there.

        Args:
            alone: what every one of ``parts`` does by itself.
        """

        row, bar = writers(self.model), self.config.bar * len(pairs)
        adds = [p for p, part in enumerate(parts) if part.adds]
        best = _top([(parts[p],) for p in adds], alone.said[adds], pairs)
        for size in range(2, self.config.most_parts + 1):
            if best.hits >= bar:
                break
            kept = best.parts if all(part in row for part in best.parts) else ()
            sets = list(combinations(row, 2)) if size == 2 else _grown(kept, row)
            found = _top(sets, self.answers(pairs, sets), pairs)
            best = found if found.hits > best.hits else best
        names, share = tuple(part.words for part in best.parts), _share(best.hits, len(pairs))
        missed = self._misses(pairs, best.said)
        return PartSet(alone.variable, alone.family, names, share, best.hits >= bar, missed)

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


summary, to_json = words.summary, words.to_json
verdicts = words.verdicts
figure = drawing.figure
