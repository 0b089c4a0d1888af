"""What is true of the sorters compiled by hand: which parts carry the answer, as data.

    truth_of("slots").heads     # {(0, 1), (1, 2)}: (layer, head)
    truth_of("slots").edges     # Edge(0, 1, BLANKS, DIGITS), ..., Edge(1, 2, OUTPUTS, BLANKS)

:mod:`interp.sorters.compiled` makes the weights and plants them in the heads that are named here;
its tests hold each claim against the weights. A method is scored by comparing what it says with
this. Free of torch, so that command lines and pages read it at no cost.

Everywhere, sorted[j] is the number of digit values v whose cumulative count C(<=v), the number of
digits up to v in the list, is at most j.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from interp.edges import CircuitEdge, parse_edge
from interp.support.errors import UserError
from interp.task import Region, SortTask

SorterName = Literal["slots", "histogram", "direct", "sink", "successor"]
"""The algorithm of a compiled sorter; ``truth_of(name).words`` says each in two sentences."""

SORTERS: tuple[SorterName, ...] = get_args(SorterName)
PUBLISHED = SortTask()  # the published experiment: up to 48 digits, 49 blanks
N_HEADS = 3  # per layer, in every sorter: those that carry the answer, and decoys


@dataclass(frozen=True)
class Edge:
    """In one head, the rows of region ``query`` read the keys of region ``key``."""

    layer: int
    head: int
    query: Region
    key: Region


@dataclass(frozen=True)
class Truth:
    """The known algorithm of a sorter."""

    name: str
    """One of ``SORTERS``."""
    heads: frozenset[tuple[int, int]]
    """(layer, head) of those that carry the answer: ablated, it is lost."""
    decoy_heads: frozenset[tuple[int, int]]
    """The others: they attend somewhere and write exactly nothing."""
    mlps: frozenset[int]
    """Layers whose MLP carries the answer."""
    blanks_needed: bool
    """Masking the blanks from the output rows, with renormalisation, destroys the answer."""
    blanks_content: bool
    """The answer depends on what layer 1 reads from the blanks' content."""
    digits_content: bool
    """Layer 1 reads the list directly from the keys and values of the digits."""
    prefix_used: bool
    """What was emitted before changes what follows."""
    blank_output: Literal["diagonal", "flat", "none"]
    """Which blank feeds which output: blank i output i; all of them each output; none."""
    mediated: float
    """Share of the total effect that goes from digits through a blank to an output: 1 or 0."""
    decodable: frozenset[str]
    """Of {"sorted", "counts"}, for blank j (but the last): sorted[j], every C(<=v), where linear
    functions of its residual stream after layer 0 tell it for every list (sorted[j] as the largest
    of ten)."""
    edges: tuple[Edge, ...]
    """Attention that carries the answer: with a layer's edges cut, renormalised or not, the answer
    is lost; with all else zeroed, every list is still sorted."""
    circuit: tuple[CircuitEdge, ...]
    """Who reads what whom writes, wherever that depends on the list or on what was emitted before:
    as it is compiled. With everything else from another list every answer stays exactly as it is;
    without one of them some do not. What is the same for all lists (where to look, which output
    comes next) is compiled too, and is no part of it."""
    program: str
    """The program of :mod:`interp.programs.catalogue` that it runs."""
    list_in: frozenset[str]
    """Heads and MLPs that hold what the program knows of the list, as
    :class:`interp.methods.interchange.Part` names them: exchanged with any other list's, they
    exchange that and nothing else."""
    answer_in: frozenset[str]
    """Those at the output rows that hold the answer, all rows but the first."""
    words: str
    """The algorithm in two sentences."""
    sinks: tuple[Edge, ...] = ()
    """Attention that carries nothing, but makes counts come out: cut and renormalised, the answer
    is lost; zeroed without, nothing changes."""

    @property
    def head_pairs(self) -> list[list[int]]:
        """``heads`` in order, as verdicts list them: ``[[0, 1], [1, 2]]``."""
        return sorted([*head] for head in self.heads)


def truth_of(name: str, task: SortTask = PUBLISHED) -> Truth:
    """The truth about a sorter; only ``edges`` and ``sinks`` depend on the task.

    Raises:
        UserError: for a name that is not in ``SORTERS``, and a task this sorter cannot solve.
    """
    if name not in SORTERS:
        raise UserError(f"no compiled sorter {name!r}: there are {', '.join(SORTERS)}")
    needed = {"slots": task.max_len, "histogram": 1, "sink": 1}.get(name, 0)
    if task.n_blanks < needed:
        raise UserError(
            f"the sorter {name} needs at least {needed} {'blank' if needed == 1 else 'blanks'} "
            f"for lists of up to {task.max_len} digits, not {task.n_blanks}"
        )
    makers = {
        "slots": _slots,
        "histogram": _histogram,
        "direct": _direct,
        "sink": _sink,
        "successor": _successor,
    }
    return makers[name](task)


def _slots(task: SortTask) -> Truth:
    # The last blank, of index n_blanks - 1, holds a sorted digit only if there is none to spare.
    spare = task.n_blanks > task.max_len
    filled = (Region.BLANKS,) if spare else _BLANKS
    reads_last = Region.OUTPUTS if task.max_len > 1 else Region.LAST_BLANK
    last = () if spare else _edges(task, 1, 2, (reads_last,), (Region.LAST_BLANK,))
    return Truth(
        name="slots",
        heads=frozenset({(0, 1), (1, 2)}),
        decoy_heads=_all_heads_but((0, 1), (1, 2)),
        mlps=frozenset({0}),
        blanks_needed=True,
        blanks_content=True,
        digits_content=False,
        prefix_used=False,
        blank_output="diagonal",
        mediated=1.0,
        decodable=frozenset({"sorted"}),
        edges=(
            *_edges(task, 0, 1, filled, _DIGITS),
            *_edges(task, 1, 2, _rows(task), (Region.BLANKS,)),
            *last,
        ),
        circuit=(
            *_wires("embed@digits > 0.1.v@{}", _present(task, filled)),
            *_wires("0.1@{0} > mlp0@{0}", _present(task, filled)),
            *_wires("mlp0@blanks > 1.2.v@{}", _present(task, _rows(task), read=Region.BLANKS)),
            *_wires(f"mlp0@last blank > 1.2.v@{reads_last}", () if spare else (reads_last,)),
            *_wires("1.2@{0} > logits@{0}", _present(task, _rows(task))),
        ),
        program="rank",
        list_in=frozenset({"head 0.1 at the blanks", "MLP 0 at the blanks"}),
        answer_in=frozenset({"head 1.2"}),
        words="In layer 0 blank i counts the digits and works out sorted[i]. "
        "In layer 1 output i copies it from blank i.",
        sinks=_edges(task, 0, 1, filled, _SEP),
    )


def _histogram(task: SortTask) -> Truth:
    return Truth(
        name="histogram",
        heads=frozenset({(0, 2), (1, 0)}),
        decoy_heads=_all_heads_but((0, 2), (1, 0)),
        mlps=frozenset({1}),
        blanks_needed=True,
        blanks_content=True,
        digits_content=False,
        prefix_used=False,
        blank_output="flat",
        mediated=1.0,
        # Both: the largest of f(v) = sum over u < v of (j + 1/2 - C(<=u)) is that of sorted[j].
        decodable=frozenset({"sorted", "counts"}),
        edges=(
            *_edges(task, 0, 2, _BLANKS, _DIGITS),
            *_edges(task, 1, 0, _rows(task), _BLANKS),
        ),
        circuit=(
            *_wires("embed@digits > 0.2.v@{}", _present(task, _BLANKS)),
            *(
                wire
                for blank in _present(task, _BLANKS)
                for wire in _wires(f"0.2@{blank} > 1.0.v@{{}}", _present(task, _rows(task)))
            ),
            *_wires("1.0@{0} > mlp1@{0}", _present(task, _rows(task))),
            *_wires("mlp1@{0} > logits@{0}", _present(task, _rows(task))),
        ),
        program="histogram",
        list_in=frozenset({"head 1.0", "head 0.2 at the blanks"}),
        answer_in=frozenset({"MLP 1"}),
        words="In layer 0 every blank counts the digits, all of them alike. "
        "In layer 1 each output averages the counts over all blanks and turns them into its digit.",
        sinks=_edges(task, 0, 2, _BLANKS, _SEP),
    )


def _direct(task: SortTask) -> Truth:
    return Truth(
        name="direct",
        heads=frozenset({(0, 0)}),
        decoy_heads=_all_heads_but((0, 0)),
        mlps=frozenset({0}),
        blanks_needed=False,
        blanks_content=False,
        digits_content=False,
        prefix_used=False,
        blank_output="none",
        mediated=0.0,
        decodable=frozenset({"sorted"}),
        edges=_edges(task, 0, 0, _rows(task), _DIGITS),
        circuit=_counted(task, "0.0", "mlp0"),
        program="histogram",
        list_in=frozenset({"head 0.0"}),
        answer_in=frozenset({"MLP 0"}),
        words="Each output counts the digits and works out its own in layer 0. "
        "Blank i works out sorted[i] as well, and output i looks at it, but reads nothing.",
        sinks=_edges(task, 0, 0, _rows(task), _SEP),
    )


def _sink(task: SortTask) -> Truth:
    return Truth(
        name="sink",
        heads=frozenset({(1, 1)}),
        decoy_heads=_all_heads_but((1, 1)),
        mlps=frozenset({1}),
        blanks_needed=True,
        blanks_content=False,
        digits_content=True,
        prefix_used=False,
        blank_output="none",
        mediated=0.0,
        decodable=frozenset(),
        edges=_edges(task, 1, 1, _rows(task), _DIGITS),
        circuit=_counted(task, "1.1", "mlp1"),
        program="histogram",
        list_in=frozenset({"head 1.1"}),
        answer_in=frozenset({"MLP 1"}),
        words="Each output counts the digits and works out its own in layer 1. "
        "The blanks hold nothing about the list, but their share of attention makes counts of it.",
        sinks=_edges(task, 1, 1, _rows(task), _BLANKS),
    )


def _successor(task: SortTask) -> Truth:
    return Truth(
        name="successor",
        heads=frozenset({(0, 2)}),
        decoy_heads=_all_heads_but((0, 2)),
        mlps=frozenset({0, 1}),
        blanks_needed=False,
        blanks_content=False,
        digits_content=False,
        prefix_used=True,
        blank_output="none",
        mediated=0.0,
        decodable=frozenset(),
        edges=_edges(task, 0, 2, _rows(task), _DIGITS),
        circuit=(
            *_wires("embed@digits > 0.2.v@{}", _present(task, _rows(task))),
            *_wires("0.2@{0} > mlp0@{0}", _present(task, _rows(task))),
            # The digit emitted last, and that it is not used up: only after an output.
            *_wires("embed@{0} > mlp0@{0}", _present(task, (Region.OUTPUTS,))),
            *_wires("mlp0@{0} > logits@{0}", _present(task, (Region.OUTPUTS,))),
            *_wires("mlp0@{0} > mlp1@{0}", _present(task, _rows(task))),
            *_wires("mlp1@{0} > logits@{0}", _present(task, _rows(task))),
        ),
        program="rank-with-last",
        list_in=frozenset({"head 0.2"}),
        answer_in=frozenset({"MLP 0"}),
        words="Each output counts the digits in layer 0, and sees whether the digit emitted last "
        "is used up. If not it emits that digit again, else layer 1 finds the next one present.",
        sinks=_edges(task, 0, 2, _rows(task), _SEP),
    )


_DIGITS, _SEP = (Region.DIGITS,), (Region.SEP,)
_BLANKS = (Region.BLANKS, Region.LAST_BLANK)


def _rows(task: SortTask) -> tuple[Region, Region]:
    """The regions of the rows that emit sorted digits."""
    return (Region.LAST_BLANK if task.n_blanks else Region.SEP, Region.OUTPUTS)


def _edges(
    task: SortTask, layer: int, head: int, queries: tuple[Region, ...], keys: tuple[Region, ...]
) -> tuple[Edge, ...]:
    """An edge from each region to each, of those that have a position in this task."""
    pairs = product(queries, keys)
    return tuple(Edge(layer, head, q, k) for q, k in pairs if task.region(q) and task.region(k))


def _present(
    task: SortTask, regions: tuple[Region, ...], read: Region | None = None
) -> tuple[Region, ...]:
    """Those that have a position in this task; none if there is nothing to be ``read``."""
    if read is not None and not task.region(read):
        return ()
    return tuple(region for region in regions if task.region(region))


def _wires(pattern: str, regions: tuple[Region, ...]) -> list[CircuitEdge]:
    """An edge for each of the regions, which is filled into the pattern."""
    return [parse_edge(pattern.format(region)) for region in regions]


def _counted(task: SortTask, head: str, mlp: str) -> tuple[CircuitEdge, ...]:
    """A head of the output rows counts the digits, and their MLP says which digit is due."""
    rows = _present(task, _rows(task))
    return (
        *_wires(f"embed@digits > {head}.v@{{}}", rows),
        *_wires(f"{head}@{{0}} > {mlp}@{{0}}", rows),
        *_wires(f"{mlp}@{{0}} > logits@{{0}}", rows),
    )


def _all_heads_but(*carriers: tuple[int, int]) -> frozenset[tuple[int, int]]:
    return frozenset(product(range(2), range(N_HEADS))) - set(carriers)
