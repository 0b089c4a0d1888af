"""Answers held-out lists, decodes some that go wrong, and says what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from analyses.behaviour import BehaviourConfig
from analyses.behaviour.figure import figure, offset_text, text, what_is_wrong
from analyses.behaviour.result import IN_ORDER, KEEPS, BehaviourResult, by_source
from analyses.experiment.given import own_or
from interp.answers.behaviour import answer, calibration, mistakes
from interp.support.progress import Progress
from interp.transformer import Transformer

__all__ = ["compute", "figure", "summary", "to_json", "verdicts"]  # see analyses.experiment


def compute(
    model: Transformer, settings: BehaviourConfig, seed: int, progress: Progress
) -> BehaviourResult:
    """Answer held-out lists, and decode some of those that go wrong."""
    task = model.task
    progress.begin(settings.lists + (task.n_symbols - 1) * settings.lists_each, "answers")
    found = answer(model, own_or(task, lambda: task.held_out(settings.lists, seed)), progress)
    by_distinct = {
        distinct: answer(model, task.held_out(settings.lists_each, seed, distinct), progress)
        for distinct in range(1, task.n_symbols)
    }
    sources = by_source(found, by_distinct)
    return BehaviourResult(
        found,
        by_distinct,
        {name: calibration(a, seed) for name, a in sources.items()},
        {name: mistakes(model, a, settings.decoded) for name, a in sources.items()},
        settings.listed,
        seed,
    )


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: BehaviourResult) -> dict[str, Any]:
    """The share of lists sorted, and of those from fewer digits; the first wrong list's length."""
    wrong = [n for n, rate in result.by_length.items() if rate.value < 1]
    fewer = [rate.value for k, rate in result.fewer_rates.items()]
    return {
        "exact": result.exact.value,
        "exact_few_digits": sum(fewer) / len(fewer),
        "shortest_wrong": min(wrong, default=None),
    }


def summary(result: BehaviourResult) -> list[str]:
    """What goes right and wrong, and the finding."""
    errors = {source: found.error for source, found in result.calibration.items()}
    few, words = result.fewer_rates, f"{result.task.symbols.word}s"
    lines = [
        f"{result.exact.n} held-out lists, as many of every length up to {max(result.by_length)}; "
        f"{words} right: {result.digit_accuracy.percent(2)}.",
        _worst_length(result),
        f"Lists exact by the number of different {words} they are drawn from "
        f"(n = {few[1].n} each): " + ", ".join(f"{k}: {r.percent()}" for k, r in few.items()),
        "Expected calibration error, teacher-forced: "
        + ", ".join(f"{source} {e.percent(2)} (n = {e.n} lists)" for source, e in errors.items()),
    ]
    return [*lines, *_mistake_lines(result), _finding(result)]


def _worst_length(result: BehaviourResult) -> str:
    rates = result.by_length
    worst = min(rates, key=lambda n: rates[n].value)
    words = f"{rates[worst].percent()} (n = {rates[worst].n})"
    if rates[worst].value == 1:
        return f"Lists exact by length: all of every length, of {_many(result, worst)} {words}."
    return f"Lists exact by length, worst: {_many(result, worst)}, {words}."


def _many(result: BehaviourResult, n: int, kind: str = "") -> str:
    """``3 different digits``"""
    return f"{n} {kind}{result.task.symbols.word}{'' if n == 1 else 's'}"


def _mistake_lines(result: BehaviourResult) -> list[str]:
    lines, task = [], result.task
    words = f"{task.symbols.word}s"
    for source in result.mistakes:
        order, digits = result.share(source, KEEPS), result.share(source, IN_ORDER)
        if order is not None:
            line = f"Of {order.n} wrong lists of {source}, decoded: the right {words} in a wrong "
            line += f"order {order.percent()}"
            if digits is not None:
                line += f", {task.rule.order} but with wrong {words} {digits.percent()}"
            lines.append(f"{line}.")
    for one in result.shown:
        lines.append(
            f"  {text(task, one.digits)} -> {text(task, one.answer)}: {what_is_wrong(task, one)}"
        )
    return lines


def _finding(result: BehaviourResult) -> str:
    exact, n, done = result.exact, result.exact.n, result.task.rule.verb[1]
    many = result.distinct_rates
    few = min(result.fewer_rates, key=lambda k: many[k].value)
    if exact.value == 1:
        start = f"Every one of {n} held-out lists is {done}: {exact.percent(2)}"
    else:
        start = f"{exact.percent()} of held-out lists are {done} without a mistake (n = {n})"
    if many[few].high < exact.low:
        return (
            f"{start}; it fails more often on lists unlike those of training: drawn from "
            f"{_many(result, few, 'different ')}, {many[few].percent()} "
            f"(n = {many[few].n})."
        )
    return f"{start}; lists of fewer different {result.task.symbols.word}s go no worse for certain."


def to_json(result: BehaviourResult) -> dict[str, Any]:
    """Every rate with its interval, the bins of the calibration, and the mistakes."""
    return {
        "exact_match": result.exact.to_dict(),
        "digit_accuracy": result.digit_accuracy.to_dict(),
        "by_length": {n: rate.to_dict() for n, rate in result.by_length.items()},
        "by_distinct_digits": {k: rate.to_dict() for k, rate in result.distinct_rates.items()},
        "by_commonest_digit": [
            {"from": low, "to": high, **rate.to_dict()}
            for (low, high), rate in result.by_copies.items()
        ],
        "by_output": [rate.to_dict() for rate in result.by_output],
        "wrong_by": {
            source: {offset_text(result.task, off): rate.to_dict() for off, rate in rates.items()}
            for source, rates in result.by_offset.items()
        },
        "calibration": {name: asdict(found) for name, found in result.calibration.items()},
        "lists_wrong": {name: int((~a.exact).sum()) for name, a in result.sources.items()},
        "first_error": {
            name: [
                {"length": length, "output": output}
                for length, output in zip(
                    a.lengths[~a.exact].tolist(), a.first_error[~a.exact].tolist(), strict=True
                )
            ]
            for name, a in result.sources.items()
        },
        "mistakes": {name: [asdict(one) for one in made] for name, made in result.mistakes.items()},
        **verdicts(result),
    }
