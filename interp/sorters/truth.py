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

from collections.abc import Callable
from typing import Literal, get_args

from interp.rules import rule_named
from interp.sorters.claims import (
    BLANKS,
    DIGITS,
    N_HEADS,
    SEP,
    Edge,
    Truth,
    all_heads_but,
    by_own_blank,
    counted,
    counted_in_blanks,
    edges,
    emitting,
    present,
    wires,
)
from interp.sorters.other_truths import OTHERS, mirror, relay, tally
from interp.support.errors import UserError
from interp.task import Region, SortTask, Task

__all__ = ["N_HEADS", "RULES", "SORTERS", "Edge", "SorterName", "Truth", "compiled_for", "truth_of"]

SorterName = Literal["slots", "histogram", "direct", "sink", "successor"]
"""The algorithm of a compiled sorter; ``truth_of(name).words`` says each in two sentences."""

SORTERS: tuple[SorterName, ...] = get_args(SorterName)
PUBLISHED = SortTask()  # the published experiment: up to 48 digits, 49 blanks


RULES: dict[str, str] = {**dict.fromkeys(SORTERS, "sort"), **OTHERS}
"""Every model that is compiled by hand, and the rule that it follows."""


def compiled_for(rule: str) -> tuple[str, ...]:
    """The names of those that follow a rule.

    Raises:
        UserError: for a rule of which none is compiled.
    """
    if found := tuple(name for name, its in RULES.items() if its == rule):
        return found
    there = ", ".join(dict.fromkeys(RULES.values()))
    raise UserError(f"nothing is compiled by hand for the task {rule!r}: there is {there}")


def truth_of(name: str, task: Task | None = None) -> Truth:
    """The truth about a compiled model; only ``edges`` and ``sinks`` depend on the task.

    Args:
        task: as the published experiment's if not given, with the rule that the model follows.

    Raises:
        UserError: for a name that is not in ``RULES``, and a task that this model cannot solve.
    """
    if name not in RULES:
        raise UserError(f"no compiled sorter {name!r}: there are {', '.join(RULES)}")
    task = task_for(name) if task is None else task
    _check_rule(name, task)
    needed = {"slots": task.max_len, "relay": task.max_len, "histogram": 1, "sink": 1, "tally": 1}
    if task.n_blanks < (least := needed.get(name, 0)):
        raise UserError(
            f"the sorter {name} needs at least {least} {'blank' if least == 1 else 'blanks'} "
            f"for lists of up to {task.max_len} {task.symbols.word}s, not {task.n_blanks}"
        )
    makers: dict[str, Callable[[Task], Truth]] = {
        "slots": _slots,
        "histogram": _histogram,
        "direct": _direct,
        "sink": _sink,
        "successor": _successor,
        "relay": relay,
        "mirror": mirror,
        "tally": tally,
    }
    return makers[name](task)


def task_for(name: str, max_len: int = PUBLISHED.max_len) -> Task:
    """What a compiled model solves: lists of up to ``max_len``, with one blank more."""
    return Task(max_len, max_len + 1, rule=rule_named(RULES[name]))


def _check_rule(name: str, task: Task) -> None:
    rule, solves = task.rule, RULES[name]
    fits = rule.order == "ascending" and not rule.ends if name in SORTERS else rule.name == solves
    if not fits:
        raise UserError(f"the compiled model {name} solves the task {solves}, not {rule}")


def _slots(task: Task) -> Truth:
    looked_at, circuit, filled = by_own_blank(task, "mlp0")
    return Truth(
        name="slots",
        heads=frozenset({(0, 1), (1, 2)}),
        decoy_heads=all_heads_but((0, 1), (1, 2)),
        mlps=frozenset({0}),
        blanks_needed=True,
        blanks_content=True,
        digits_content=False,
        prefix_used=False,
        blank_output="diagonal",
        mediated=1.0,
        decodable=frozenset({"sorted"}),
        edges=looked_at,
        circuit=(*circuit, *wires("0.1@{0} > mlp0@{0}", filled)),
        program="rank",
        list_in=frozenset({"head 0.1 at the blanks", "MLP 0 at the blanks"}),
        answer_in=frozenset({"head 1.2"}),
        words="In layer 0 blank i counts the digits and works out sorted[i]. "
        "In layer 1 output i copies it from blank i.",
        sinks=edges(task, 0, 1, filled, SEP),
    )


def _histogram(task: Task) -> Truth:
    return counted_in_blanks(
        task,
        "histogram",
        mediated=1.0,
        # Both: the largest of f(v) = sum over u < v of (j + 1/2 - C(<=u)) is that of sorted[j].
        decodable=frozenset({"sorted", "counts"}),
        program="histogram",
        words="In layer 0 every blank counts the digits, all of them alike. "
        "In layer 1 each output averages the counts over all blanks and turns them into its digit.",
    )


def _direct(task: Task) -> Truth:
    return Truth(
        name="direct",
        heads=frozenset({(0, 0)}),
        decoy_heads=all_heads_but((0, 0)),
        mlps=frozenset({0}),
        blanks_needed=False,
        blanks_content=False,
        digits_content=False,
        prefix_used=False,
        blank_output="none",
        mediated=0.0,
        decodable=frozenset({"sorted"}),
        edges=edges(task, 0, 0, emitting(task), DIGITS),
        circuit=counted(task, "0.0", "mlp0"),
        program="histogram",
        list_in=frozenset({"head 0.0"}),
        answer_in=frozenset({"MLP 0"}),
        words="Each output counts the digits and works out its own in layer 0. "
        "Blank i works out sorted[i] as well, and output i looks at it, but reads nothing.",
        sinks=edges(task, 0, 0, emitting(task), SEP),
    )


def _sink(task: Task) -> Truth:
    return Truth(
        name="sink",
        heads=frozenset({(1, 1)}),
        decoy_heads=all_heads_but((1, 1)),
        mlps=frozenset({1}),
        blanks_needed=True,
        blanks_content=False,
        digits_content=True,
        prefix_used=False,
        blank_output="none",
        mediated=0.0,
        decodable=frozenset(),
        edges=edges(task, 1, 1, emitting(task), DIGITS),
        circuit=counted(task, "1.1", "mlp1"),
        program="histogram",
        list_in=frozenset({"head 1.1"}),
        answer_in=frozenset({"MLP 1"}),
        words="Each output counts the digits and works out its own in layer 1. "
        "The blanks hold nothing about the list, but their share of attention makes counts of it.",
        sinks=edges(task, 1, 1, emitting(task), BLANKS),
    )


def _successor(task: Task) -> Truth:
    return Truth(
        name="successor",
        heads=frozenset({(0, 2)}),
        decoy_heads=all_heads_but((0, 2)),
        mlps=frozenset({0, 1}),
        blanks_needed=False,
        blanks_content=False,
        digits_content=False,
        prefix_used=True,
        blank_output="none",
        mediated=0.0,
        decodable=frozenset(),
        edges=edges(task, 0, 2, emitting(task), DIGITS),
        circuit=(
            *wires("embed@digits > 0.2.v@{}", present(task, emitting(task))),
            *wires("0.2@{0} > mlp0@{0}", present(task, emitting(task))),
            # The digit emitted last, and that it is not used up: only after an output.
            *wires("embed@{0} > mlp0@{0}", present(task, (Region.OUTPUTS,))),
            *wires("mlp0@{0} > logits@{0}", present(task, (Region.OUTPUTS,))),
            *wires("mlp0@{0} > mlp1@{0}", present(task, emitting(task))),
            *wires("mlp1@{0} > logits@{0}", present(task, emitting(task))),
        ),
        program="rank-with-last",
        list_in=frozenset({"head 0.2"}),
        answer_in=frozenset({"MLP 0"}),
        words="Each output counts the digits in layer 0, and sees whether the digit emitted last "
        "is used up. If not it emits that digit again, else layer 1 finds the next one present.",
        sinks=edges(task, 0, 2, emitting(task), SEP),
    )
