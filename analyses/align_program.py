"""Where are a program's variables? Exchange one part of the model, and one variable of the program.

    python -m analyses.align_program
    python -m analyses.align_program --model compiled:histogram
    python -m analyses.align_program --directions 1 2 4 8         # and subspaces of the stream

Two prompts, a *base* and a *source*. The program's answer for the base, with one variable set to
what it is for the source, is the counterfactual; it is worked out without the model. The model's
answer for the base, with one part as it is for the source, is compared with it. The share of pairs
in which they are the same is the interchange-intervention accuracy (IIA; Geiger et al. 2021): near
100 %, the part holds the variable and nothing else that matters here; a part that holds more
carries more over, and is found out by sources that differ in everything.

    alike     the counterfactual differs from the base's answer; the source differs in as few other
              variables as can be had
    any       it differs, whatever else does, and where possible from the source's answer too
    control   the variable differs and the answer does not: the model's should not change either

Parts are every head, MLP and stream at the row that answers, the queries of its heads, and what it
reads elsewhere. Only prompts are used to which the model and the program say the same. The smallest
set of heads and MLPs that reaches the bar together is searched among all singles and pairs, then
grown one by one. Subspaces are found on one half of the pairs and judged on the other, beside
random subspaces, an untrained twin of the model and a variable of another program.

What it does not show: that the program is the only one. A variable that another fixes (a sorted
list and its counts) is in the same parts, and a part may hold a variable in a form that is right
for these pairs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from jaxtyping import Bool, Int

from analyses import align_program_words
from analyses.common import Analysis, CommonArgs, run_analysis
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch

    from analyses.align_subspaces import Subspace
    from interp.interchange import Part, Rows
    from interp.model import SortTransformer
    from interp.programs.pairing import Pairs, Sources
    from interp.programs.program import Program
    from interp.programs.prompts import Prompts
    from interp.stats import Estimate
else:
    torch = lazy_import("torch")

AUTO = "auto"
FAMILIES: tuple[Sources, ...] = ("alike", "any", "control")


@dataclass(frozen=True)
class AlignConfig:
    """Which program, how many pairs, and whether to search for subspaces."""

    program: str = AUTO  # by name; auto takes the one that says most often what the model says
    prompts: int = 360  # from which bases and sources are taken
    pairs: int = 96  # of every variable and kind of source: intervals of ten percent at the widest
    bar: float = 0.95  # from which a part counts as holding a variable
    most_parts: int = 4  # in the smallest set that is searched
    directions: tuple[int, ...] = ()  # sizes of the subspaces to search, like 1 2 4 8

    def __post_init__(self) -> None:
        at_least(self, prompts=2, pairs=1, most_parts=1)
        if not 0 < self.bar <= 1:
            raise UserError(f"--bar must be above 0 and at most 1, not {self.bar}")
        if any(k < 1 for k in self.directions):
            raise UserError(f"--directions must be at least 1, not {min(self.directions)}")


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
        from interp.stats import wilson

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
    model: SortTransformer,
    config: AlignConfig = AlignConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> AlignResult:
    """Exchange every part for every variable of the program; see the module's description."""
    from analyses.align_subspaces import search_all
    from interp.interchange import all_parts, record
    from interp.programs.pairing import make_pool
    from interp.programs.prompts import digits_said
    from interp.stats import wilson

    pool = make_pool(model.task, config.prompts, seed)
    rows = record(model, pool)
    said = digits_said(rows.logits).cpu()
    program = _chosen(config.program, pool.inputs(), said)
    usable = program.answer_batch(pool.inputs()) == said
    foreign, foreign_variable = _foreign(program)
    bench = _Bench(model, pool, rows, usable, said, config, seed)
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
    subspaces = search_all(model, pool, rows, usable, program, other, config, seed, progress)
    return AlignResult(
        program,
        wilson(int(usable.sum()), len(usable)),
        tuple(parts),
        tuple(alignments),
        f"{foreign.name}.{foreign_variable}",
        tuple(sets),
        tuple(subspaces),
        config,
        seed,
    )


def _chosen(name: str, inputs: dict[str, torch.Tensor], said: torch.Tensor) -> Program:
    from interp.programs.catalogue import PROGRAMS, program_of

    if name != AUTO:
        return program_of(name)
    return max(PROGRAMS, key=lambda p: int((p.answer_batch(inputs) == said).sum()))


def _foreign(program: Program) -> tuple[Program, str]:
    """A variable that the program does not have, of a program that is another function."""
    from interp.programs.catalogue import program_of

    if "position" in program.names:
        return program_of("copy-and-count"), "copies_out"
    return program_of("rank"), "position"


@dataclass(frozen=True)
class _Bench:
    """The model and the prompts, ready for exchanges."""

    model: SortTransformer
    pool: Prompts
    rows: Rows
    usable: Bool[torch.Tensor, " prompt"]
    said: Int[torch.Tensor, " prompt"]
    config: AlignConfig
    seed: int

    def pairs(self, program: Program, variable: str, family: Sources) -> Pairs:
        from interp.programs.pairing import pair_up

        n = self.config.pairs
        return pair_up(program, variable, self.pool, n, self.seed, family, self.usable)

    def answers(
        self, pairs: Pairs, sets: Sequence[Sequence[Part]]
    ) -> Int[torch.Tensor, "set pair"]:
        """What the model says with all parts of a set exchanged."""
        from interp.interchange import exchanged
        from interp.programs.prompts import digits_said

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
        from interp.interchange import writers

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
    from interp.stats import wilson

    return wilson(hits, n)


# -- command line -------------------------------------------------------------------------------


summary, to_json = align_program_words.summary, align_program_words.to_json
verdicts = align_program_words.verdicts


def figure(result: AlignResult) -> go.Figure:
    """See :func:`analyses.align_program_figure.figure`."""
    from analyses import align_program_figure

    return align_program_figure.figure(result)


ANALYSIS = Analysis(
    name="align_program",
    title="Where the program's variables are",
    config=AlignConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
    needs_blanks=False,
)


@dataclass(frozen=True)
class AlignArgs(CommonArgs):
    """Exchange one part of the model and one variable of a program: do they say the same?"""

    config: AlignConfig = AlignConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_analysis(ANALYSIS, AlignArgs, argv)


if __name__ == "__main__":
    main()
