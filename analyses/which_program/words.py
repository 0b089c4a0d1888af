"""What ``analyses.which_program`` found, in words, as verdicts and as data."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from typing import Any

from analyses.which_program.result import WhichProgramResult

ITSELF = "itself reordered"
"""The model again, after the same counts in another order."""


def summary(result: WhichProgramResult) -> list[str]:
    """A table of programs by kinds, where every two programs part, then the winner."""
    names = [program.name for program in result.programs]
    width = max(len(kind.name) for kind in result.kinds)
    lines = ["Outputs of which a program says what the model says, in %:"]
    lines.append(" " * (width + 2) + "".join(f"  {name:>14}" for name in [*names, ITSELF]))
    for k, kind in enumerate(result.kinds):
        rates = (result.agreement(p, k) for p in range(len(names)))
        own = result.itself(k)
        cells = "".join(
            f"  {100 * rate.value:>14.1f}" for rate in [*rates, *([own] if own else [])]
        )
        lines.append(f"  {kind.name.ljust(width)}{cells}  (n = {len(kind.said)} lists)")
    lines.append("Edited prefixes on which two programs differ, and how many each gets right:")
    for a, b in combinations(range(len(names)), 2):
        n, first, second = result.parted(a, b)
        rest = f"{names[a]} {first}, {names[b]} {second}" if n else "they never differ"
        lines.append(f"  {names[a]} against {names[b]}: n = {n}; {rest}")
    return [*lines, *_where_lists_fail(result), _finding(result)]


def _where_lists_fail(result: WhichProgramResult) -> list[str]:
    """Of lists with right prefixes, how many the best program gets as the model has them."""
    best, lines = result.best[0], []
    for k, kind in enumerate(result.kinds):
        if kind.said.shape[1] > 1:
            found = result.same_list(best, k)
            lines.append(f"  {kind.name}: {found.percent()} of {found.n} lists in every output")
    return [f"Whole lists that {result.programs[best].name} gets as the model has them:", *lines]


def named(result: WhichProgramResult, programs: tuple[int, ...]) -> str:
    """``rank = histogram``"""
    return " = ".join(result.programs[p].name for p in programs)


def _finding(result: WhichProgramResult) -> str:
    best, config = result.winner or result.best, result.config
    if result.winner:
        return f"The model's program: {named(result, best)}; {_rates(result, best[0])}."
    soft = ""
    if result.fitted is not None:
        rates = _rates(result, len(result.programs) - 1)
        soft = f" Balance, whose {result.fitted.n} numbers are fitted on other prompts: {rates}."
    return (
        f"None of these programs reaches {100 * config.bar:g} % under every kind of edit and "
        f"{100 * config.clean_bar:g} % after right prefixes. The best is {named(result, best)}: "
        f"{_rates(result, best[0])}.{soft}"
    )


def _rates(result: WhichProgramResult, program: int) -> str:
    """After right prefixes and where it is worst."""
    # The last of kinds that are as bad: right prefixes are named only if they alone are worst.
    judged = [k for k, kind in enumerate(result.kinds) if kind.judged]
    worst = min(judged, key=lambda k: (result.agreement(program, k).value, -k))
    clean, low = result.agreement(program, 0), result.agreement(program, worst)
    return (
        f"it says what the model says in {clean.percent()} of outputs after right prefixes "
        f"(n = {clean.n} lists) and, where it is worst ({result.kinds[worst].name}), in "
        f"{low.percent()} (n = {low.n})"
    )


def verdicts(result: WhichProgramResult) -> dict[str, list[str]]:
    """``program``: the winner's name, and those of programs that are the same function; or none."""
    return {"program": sorted(result.programs[p].name for p in result.winner)}


def to_json(result: WhichProgramResult) -> dict[str, Any]:
    """Agreement of every program with every kind, of every two programs, and the winner."""
    names = [program.name for program in result.programs]
    numbers = range(len(names))
    return {
        "programs": {program.name: program.words for program in result.programs},
        "agreement": {
            names[p]: {
                kind.name: result.agreement(p, k).to_dict() for k, kind in enumerate(result.kinds)
            }
            for p in numbers
        },
        "whole_lists": {
            names[p]: {
                kind.name: result.same_list(p, k).to_dict()
                for k, kind in enumerate(result.kinds)
                if kind.said.shape[1] > 1
            }
            for p in numbers
        },
        "itself_reordered": {
            kind.name: own.to_dict()
            for k, kind in enumerate(result.kinds)
            if (own := result.itself(k)) is not None
        },
        "judged": [kind.name for kind in result.kinds if kind.judged],
        "parted": [
            {"programs": [names[a], names[b]], "n": n, "right": [first, second]}
            for a, b in combinations(numbers, 2)
            for n, first, second in [result.parted(a, b)]
        ],
        "fitted": None if result.fitted is None else asdict(result.fitted),
        "best": [names[p] for p in result.best],
        "winner": [names[p] for p in result.winner],
    }
