"""The circuit: the smallest set of edges that keeps the answer.

    python -m analyses.circuit
    python -m analyses.circuit --model compiled:slots           # exactly the six edges of its
    making python -m analyses.circuit --model no-blanks --keep 0.95

Every head, MLP and the embedding writes into the residual stream, and every query, key, value, MLP
and the logits read from it. An *edge* is one reader reading what one writer wrote, in one region of
the sequence and for the rows of one region:

    embed@digits > 0.4.v@outputs        for output rows, head 0.4 reads digits' values in the list

Lists are paired with donors, other lists of the same length with an answer of their own, and edges
that are left out carry the donor's run. Edges are ranked by edge attribution patching with
integrated gradients, and then left out one after the other, each checked exactly, for as long as
the *margin* of the answers (their logit minus the largest other) is off by at most 1, 5, 10 and 20
per cent of what the donor would make of it. See interp.circuit_run, circuit_scores and
circuit_search for the definitions.

Reported, on lists that were not searched with: *faithfulness*, the share of the margin that is
kept, and the share of outputs and of whole lists that stay; *completeness*, what the model can do
without the circuit, and whether both lose the same without random halves of it; *minimality*, what
each edge of the drawn level brings. Controls: as many edges at random, and as many by attribution
alone. The first output is emitted at the last blank, and stands apart. Besides figure, result and
manifest the command writes the drawn graph as ``circuit.svg``.

What it does not show: a circuit has only what differs from list to list. What is the same for all,
as what blanks hold may be, is never taken away; edges that can stand in for each other need not
both be found; and an edge says that something is read, not what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses import circuit_words
from analyses.circuit_result import CircuitResult, FoundLevel, to_json
from analyses.common import (
    Analysis,
    CommonArgs,
    Stopwatch,
    deliver,
    open_model,
    progress_bar,
    result_folder,
)
from interp.circuit_graph import answer_regions
from interp.support import files
from interp.support.cli import run_command
from interp.support.errors import UserError, at_least
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.circuit_run import Graph
    from interp.circuit_scores import Group
    from interp.circuit_search import Level
    from interp.model import SortTransformer

LEVELS = (0.99, 0.95, 0.9, 0.8)
"""1 minus the largest error; the first is the circuit *to the letter*."""
_ATTRIBUTED = 16  # lists for attribution, which only says in which order edges are tried
_STEPS = 5  # of its integral, as Hanna et al. take
_DRAWS = 5  # random circuits, and random halves


@dataclass(frozen=True)
class CircuitConfig:
    """How many lists, and which level is taken apart."""

    lists: int = 48  # that judge, of four lengths: enough for intervals of a few percent
    searched: int = 24  # other lists, on which edges are left out
    keep: float = 0.9  # the level that is drawn: few enough edges to be read

    def __post_init__(self) -> None:
        at_least(self, lists=4, searched=4)
        if not 0 < self.keep <= LEVELS[0]:
            raise UserError(
                f"--keep must be above 0 and at most {LEVELS[0]}, not {self.keep}: "
                "it is 1 minus the error that is allowed"
            )

    @property
    def levels(self) -> list[float]:
        return sorted({*LEVELS, self.keep}, reverse=True)


def compute(
    model: SortTransformer,
    config: CircuitConfig = CircuitConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> CircuitResult:
    """Search on some lists, judge on others."""
    from interp import circuit_judge as judging
    from interp.circuit_run import Graph
    from interp.circuit_scores import attribute, sample_groups
    from interp.circuit_search import search

    graph = Graph(model)
    progress.begin(0, "the circuit: left-out edges")  # how many it takes is not known beforehand
    some = sample_groups(graph, min(_ATTRIBUTED, config.searched), seed, "attributed")
    scores = attribute(graph, some, "EAP-IG", _STEPS)
    groups = sample_groups(graph, config.searched, seed, "searched")
    levels = search(graph, groups, scores, config.levels, [config.keep], progress)
    groups = sample_groups(graph, config.lists, seed, "judged")
    edges = next(level.edges for level in levels if level.keep == config.keep)
    # By attribution alone: as many of the largest, in either part.
    best = scores.abs().amax(0).argsort(descending=True)[: len(edges)]
    return CircuitResult(
        n_edges=len(graph.edges),
        n_layers=graph.n_layers,
        ends=answer_regions(model.task),
        lengths=tuple(group.lists.view.longest for group in groups),
        lists=config.lists,
        searched=config.searched,
        telling=_telling(groups),
        keep=config.keep,
        levels=tuple(_judged(graph, groups, level, seed) for level in levels),
        unchecked=judging.judge(graph, groups, graph.keep(graph.edges[i] for i in best), seed),
        without=judging.judge(graph, groups, 1 - graph.keep(edges), seed),
        knockouts=judging.knockouts(graph, groups, edges, _DRAWS, seed),
        effects=judging.edge_effects(graph, groups, edges, progress),
        seed=seed,
    )


def _telling(groups: Sequence[Group]) -> tuple[int, int]:
    first, later = sum(group.parts.sum((1, 2)) for group in groups)
    return int(first), int(later)


def _judged(graph: Graph, groups: Sequence[Group], level: Level, seed: int) -> FoundLevel:
    from interp.circuit_judge import judge, random_sets

    random = random_sets(graph, len(level.edges), _DRAWS, seed)
    return FoundLevel(
        level,
        judge(graph, groups, graph.keep(level.edges), seed),
        tuple(judge(graph, groups, kept, seed) for kept in random),
    )


# -- command line -------------------------------------------------------------------------------

summary, verdicts = circuit_words.summary, circuit_words.verdicts


def figure(result: CircuitResult) -> go.Figure:
    """See :func:`analyses.circuit_figure.figure`."""
    from analyses import circuit_figure

    return circuit_figure.figure(result)


ANALYSIS = Analysis(
    name="circuit",
    title="The circuit",
    config=CircuitConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
    needs_blanks=False,
)


@dataclass(frozen=True)
class CircuitArgs(CommonArgs):
    """The smallest set of edges that keeps the answer, as a graph."""

    config: CircuitConfig = CircuitConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_command(CircuitArgs, circuit_command, ANALYSIS.prog, argv)


def circuit_command(args: CircuitArgs) -> None:
    """As :func:`analyses.common.analysis_command`; the drawn graph is written as SVG as well."""
    from analyses.circuit_svg import svg

    watch, loaded = Stopwatch(), open_model(args)
    with progress_bar() as progress:
        result = compute(loaded.model, args.config, args.seed, progress)
    folder = result_folder(args.out, ANALYSIS.name, loaded)
    files.write_text(folder / "circuit.svg", svg(result, loaded.name))
    deliver(ANALYSIS, args, loaded, result, folder, watch.seconds())


if __name__ == "__main__":
    main()
