"""Sorters compiled by hand: real ``SortTransformer`` weights whose algorithm is known.

    sorter = compile_sorter("slots")
    sorter.model(sorter.model.task.encode([[3, 1, 1]]).tokens)    # logits: 1 1 3, exactly
    sorter.truth.heads                                            # {(0, 1), (1, 2)}

A method that says the truth about these may be believed about a trained model. There are two
layers, no normalisation, no training and no chance: every list is sorted without error.

**Counting.** A head that scores 0 on every digit of the list and S on a sink gives each digit the
weight 1 / (e^S + n). With values 1[d <= v], and a factor e^S in the output, that is C(<=v), with a
relative error of n / e^S.

**Sorting.** Two ReLUs make t(v), which falls from 1 to 0 as C(<=v) rises from j to j + 1, so it is
1[C(<=v) <= j] of whole counts. Then sorted[j] is the v where t(v - 1) - t(v) is 1. Between whole
counts the answer moves in proportion, so a share of an intervention has its share of the effect.
Slopes begin a little outside of whole counts, so that gradients there are those of the slope.

Heads and neurons are written as functions of named subspaces: see :mod:`interp.sorters.assembler`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add

from interp.model import SortTransformer
from interp.sorters.assembler import Assembler, Linear
from interp.sorters.truth import SORTERS, Edge, SorterName, Truth, task_for, truth_of
from interp.task import Task

__all__ = ["SORTERS", "CompiledSorter", "Edge", "SorterName", "Truth", "compile_sorter"]

_FOCUS = 30.0  # score of the one key that a head attends to; e^-30 is below float32's resolution
_SHUT = 40.0  # minus the score of what a head must not see, even where its sink weighs little
_COUNT_PRECISION = 2**15  # a count is too small by at most one over this, besides rounding
_MARGIN = 2**-13  # by which slopes begin outside of whole counts: more than counts are off


@dataclass(frozen=True)
class CompiledSorter:
    """A model and the truth about it."""

    model: SortTransformer
    truth: Truth


def compile_sorter(name: str, task: Task | None = None) -> CompiledSorter:
    """The model called ``name``, exact on every list of ``task``; always the same weights.

    Args:
        task: as the published experiment's if not given, with the rule that the model follows.

    Raises:
        UserError: for a name that is not in ``RULES``, and a task that this model cannot solve.
    """
    truth = truth_of(name, task)
    makers = {
        "slots": _slots,
        "histogram": _histogram,
        "direct": _direct,
        "sink": _sink,
        "successor": _successor,
        "relay": _relay,
        "mirror": _mirror,
        "tally": _tally,
    }
    return CompiledSorter(makers[name](task_for(name) if task is None else task), truth)


# -- the algorithms that sort --------------------------------------------------------------------


def _slots(task: Task) -> SortTransformer:
    a = Assembler(task, "counts", "copy")
    _equal_digit(a, 0, 0)
    _count(a, 0, 1, rows=a.at("blank"), sink=a.at("sep"), to="counts")
    _previous(a, 0, 2)
    _sorted_digit(a, 0, "slot", "counts", to="copy")
    _erase(a, 0, "counts")
    _previous(a, 1, 0)
    _equal_digit(a, 1, 1)
    a.head(1, 2, _own_slot(a), a.moves("copy", "answer"))
    return a.model


def _histogram(task: Task) -> SortTransformer:
    a = Assembler(task, "counts", "mean")
    _counted_in_blanks(a)
    _sorted_digit(a, 1, "row", "mean", to="answer")
    return a.model


def _direct(task: Task) -> SortTransformer:
    a = Assembler(task, "counts", "copy")
    outputs = a.total("row")
    both = a.at("blank") + outputs - (a.at("row", 0) if task.n_blanks else a.zero)
    _count(a, 0, 0, rows=both, sink=a.at("sep"), to="counts")
    _previous(a, 0, 1)
    _equal_digit(a, 0, 2)
    _sorted_digit(a, 0, "slot", "counts", to="copy")
    _sorted_digit(a, 0, "row", "counts", to="answer")
    _erase(a, 0, "counts")
    _equal_digit(a, 1, 0)
    _previous(a, 1, 1)
    a.head(1, 2, _own_slot(a), a.moves("copy", None))
    return a.model


def _sink(task: Task) -> SortTransformer:
    a = Assembler(task, "counts")
    _equal_digit(a, 0, 0)
    _count(a, 0, 1, rows=a.at("blank"), sink=a.at("sep"), to=None)
    _previous(a, 0, 2)
    _previous(a, 1, 0)
    outputs = a.total("row")
    _count(a, 1, 1, rows=outputs, sink=a.at("blank"), n_sinks=task.n_blanks, to="counts")
    _equal_digit(a, 1, 2)
    _sorted_digit(a, 1, "row", "counts", to="answer")
    _erase(a, 1, "counts")
    return a.model


def _successor(task: Task) -> SortTransformer:
    a = Assembler(task, "counts", "absent", "used_up")
    outputs = a.total("row")
    _equal_digit(a, 0, 0)
    _previous(a, 0, 1)
    _count(a, 0, 2, rows=outputs, sink=a.at("sep"), to="counts")
    for d in task.alphabet:
        own, count = a.at("digit", d), a.at("counts", d)
        below = a.at("counts", d - 1) if d else a.zero
        a.neuron(0, a.one - (count - below), a.at("absent", d))
        # The digit emitted last is emitted again, unless row i has its count C(<=d) at most i.
        a.neuron(0, own + outputs - a.one, a.at("answer", d))
        other = (task.max_len + 1) * (a.one - own)
        _at_most(a, 0, "row", count + other, a.at("used_up", d) - a.at("answer", d))
    _erase(a, 0, "counts")
    _own_slot_decoy(a, 1, 0)
    _previous(a, 1, 1)
    _equal_digit(a, 1, 2)
    for last in (-1, *task.alphabet):  # -1: nothing has been emitted, row 0 begins
        due = a.at("used_up", last) if last >= 0 else a.at("row", 0)
        for d in task.alphabet[last + 1 :]:
            a.neuron(1, due - a.at("absent", d), a.at("answer", d))
            due = due + a.at("absent", d) - a.one  # for a larger digit, this one must be absent
    return a.model


# -- those of other tasks ------------------------------------------------------------------------


def _relay(task: Task) -> SortTransformer:
    a = Assembler(task, "copy")
    _equal_digit(a, 0, 0)
    a.head(0, 1, _mirrored(a, "slot"), a.moves("digit", "copy"))
    _previous(a, 0, 2)
    _previous(a, 1, 0)
    _equal_digit(a, 1, 1)
    a.head(1, 2, _own_slot(a), a.moves("copy", "answer"))
    return a.model


def _mirror(task: Task) -> SortTransformer:
    a = Assembler(task, "copy")
    _previous(a, 0, 0)
    a.head(0, 1, _mirrored(a, "slot"), a.moves("digit", "copy"))
    _equal_digit(a, 0, 2)
    a.head(1, 0, _mirrored(a, "row"), a.moves("digit", "answer"))
    _equal_digit(a, 1, 1)
    a.head(1, 2, _own_slot(a), a.moves("copy", None))
    return a.model


def _tally(task: Task) -> SortTransformer:
    a = Assembler(task, "counts", "mean")
    _counted_in_blanks(a)
    ones, odd = a.at("mean", 1) - a.at("mean", 0), a.at("answer", 1) - a.at("answer", 0)
    a.neuron(1, a.total("row"), a.at("answer", 0))
    elsewhere = (task.max_len + 1) * (a.one - a.total("row"))
    for k in range(task.max_len):  # up and down again, by one for each: odd numbers are up
        a.neuron(1, ones - k * a.one - elsewhere, (1 if k == 0 else 2 * (-1) ** k) * odd)
    return a.model


# -- what they are made of ----------------------------------------------------------------------


def _counted_in_blanks(a: Assembler) -> None:
    """Every blank gets C(<=v) of the list; in layer 1 all rows get the mean of the blanks'."""
    _previous(a, 0, 0)
    _equal_digit(a, 0, 1)
    _count(a, 0, 2, rows=a.at("blank"), sink=a.at("sep"), to="counts")
    _erase(a, 0, "counts", but=a.at("blank"))
    a.head(1, 0, [(a.one, -_SHUT * (a.one - a.at("blank")))], a.moves("counts", "mean"))
    _equal_digit(a, 1, 1)
    _previous(a, 1, 2)


def _count(
    a: Assembler,
    layer: int,
    head: int,
    *,
    rows: Linear,
    sink: Linear,
    to: str | None,
    n_sinks: int = 1,
) -> None:
    """Each of ``rows`` gets C(<=v) of the list; other rows after the sink get nothing.

    Before the sink, at the list itself, what is written is e^S too large: see ``_erase``.
    """
    score = math.ceil(math.log(_COUNT_PRECISION * a.task.max_len**2))  # whole, to be exact
    weight = math.exp(score)
    elsewhere = a.one - sink - a.at("listed")
    scores = [
        (a.one, (score - math.log(n_sinks)) * sink),
        (a.one, -_SHUT * elsewhere),
        (a.one - rows, -_SHUT * a.at("listed")),
    ]
    up_to = [reduce(add, (a.at("digit", d) for d in range(v + 1))) for v in a.task.alphabet]
    writes = [weight * a.at(to, v) if to else a.zero for v in a.task.alphabet]
    a.head(layer, head, scores, zip(up_to, writes, strict=True))


def _sorted_digit(a: Assembler, layer: int, index: str, counts: str, *, to: str) -> None:
    """Where ``index`` is j: the one-hot sorted[j] of ``counts``; elsewhere nothing."""
    a.neuron(layer, a.total(index), a.at(to, 0))  # t(-1) = 1
    for v in a.task.alphabet:
        following = a.at(to, v + 1) if v + 1 < a.task.n_symbols else a.zero
        _at_most(a, layer, index, a.at(counts, v), following - a.at(to, v))  # what t(v) adds


def _at_most(a: Assembler, layer: int, index: str, count: Linear, write: Linear) -> None:
    """Where ``index`` is j: 1[count <= j] along ``write``; elsewhere nothing, for count >= 0."""
    write = (1 / (1 + 2 * _MARGIN)) * write
    a.neuron(layer, a.index(index, 1 + _MARGIN) - count, write)
    a.neuron(layer, a.index(index, -_MARGIN) - count, -write)


def _erase(a: Assembler, layer: int, counts: str, but: Linear | None = None) -> None:
    """Empties ``counts`` again at all positions, or all but those where ``but`` is 1."""
    kept = a.zero if but is None else (a.task.max_len + 1) * but
    for v in a.task.alphabet:
        a.neuron(layer, a.at(counts, v) - kept, -a.at(counts, v))


def _own_slot(a: Assembler) -> list[tuple[Linear, Linear]]:
    """Scores of a head by which output row i attends to blank i; other positions to SEP."""
    rest = (_FOCUS * (a.one - a.total("row")), a.at("sep"))
    return [rest, *((_FOCUS * a.at("row", i), a.at("slot", i)) for i in range(a.size("slot")))]


def _mirrored(a: Assembler, index: str) -> list[tuple[Linear, Linear]]:
    """Scores by which, where ``index`` is i, the digit is attended to that is i-th from the end.

    By -(key - place)^2; other positions attend to SEP.
    """
    scale = _FOCUS * a.task.n_ctx**2  # places are in units of n_ctx
    last = (a.task.sep_pos - 1) / a.task.n_ctx - 0.5
    place = last * a.total(index) - (1 / a.task.n_ctx) * a.index(index, 0)
    rest = (_FOCUS * (a.one - a.total(index)), a.at("sep"))
    keys = a.at("place", 0), a.at("place", 1)
    return [rest, (2 * scale * place, keys[0]), (-scale * a.total(index), keys[1])]


def _own_slot_decoy(a: Assembler, layer: int, head: int) -> None:
    a.head(layer, head, _own_slot(a), a.moves("digit", None))


def _equal_digit(a: Assembler, layer: int, head: int) -> None:
    """A decoy: a digit attends to digits like itself."""
    scores = [(_FOCUS * a.at("digit", d), a.at("digit", d)) for d in a.task.alphabet]
    a.head(layer, head, scores, a.moves("digit", None))


def _previous(a: Assembler, layer: int, head: int) -> None:
    """A decoy: each position attends to the one before it, by -(key - (query - 1))^2."""
    scale = _FOCUS * a.task.n_ctx**2  # places are in units of n_ctx
    before = a.at("place", 0) - (1 / a.task.n_ctx) * a.one
    scores = [(2 * scale * before, a.at("place", 0)), (-scale * a.one, a.at("place", 1))]
    a.head(layer, head, scores, a.moves("digit", None))
