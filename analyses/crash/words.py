"""What ``analyses.crash`` found, in words, as a table and as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from analyses.crash.result import DIRECTIONS, CrashResult


def summary(result: CrashResult) -> list[str]:
    """The drop, what goes wrong in it, which weights, and what stops it; then the finding."""
    states = "; ".join(
        f"{name} (step {step}) {result.exact[name].percent()}"
        for name, step in _states(result).items()
    )
    return [
        f"Held-out lists exact: {states}.",
        "The average of the weights has at least "
        f"{100 * result.lowest_averaged:.1f} % from the state before on.",
        "Outputs that go wrong in the drop (before it): "
        + "; ".join(
            f"{name} {rate.percent(2)} ({result.mistakes_before[name].percent(2)})"
            for name, rate in result.mistakes.items()
        ),
        "Exact with one group of weights as before the drop, and before it as in the drop:",
        *(f"  {name}: {a.percent()}, {b.percent()}" for name, (a, b) in result.groups.items()),
        "From the state before on, lowest accuracy with one thing changed:",
        *(f"  {one.name}: {100 * one.lowest:.1f} %" for one in result.again),
        _finding(result),
    ]


def _states(result: CrashResult) -> dict[str, int]:
    found = {"before": result.before, "during": result.during}
    return found if result.after is None else {**found, "after": result.after}


def _finding(result: CrashResult) -> str:
    stopped = [
        one.words for one in result.changed if one.name != "as it was" and not result.falls(one)
    ]
    back = max(result.groups, key=lambda name: result.groups[name][0].value)
    lowest = [100 * one.lowest for one in result.others]
    steps = result.during - result.before
    stops = f"There is no such fall with {_listed(stopped)}." if stopped else "No change stops it."
    return (
        f"A fall of {100 * result.fall:.0f} points in {steps} steps; with other lists and masks "
        f"{result.others_that_fall} of {len(result.others)} repeats fall by more than "
        f"{100 * result.drop:.0f} (to {min(lowest):.1f} to {max(lowest):.1f} % at the lowest). "
        f"{stops} The group of weights that brings back most is "
        f"{back}: {result.groups[back][0].percent()}."
    )


def _listed(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def rows(result: CrashResult) -> list[dict[str, Any]]:
    """Every number of the figure: the part it is in, what it is of, and its value."""
    found: list[dict[str, Any]] = [{"part": "course", **asdict(m)} for m in result.course]
    for part, rates in (("mistakes", result.mistakes), ("before", result.mistakes_before)):
        found += [{"part": part, "what": name, **rate.to_dict()} for name, rate in rates.items()]
    for name, both in result.groups.items():
        found += [
            {"part": "groups", "what": name, "direction": direction, **rate.to_dict()}
            for direction, rate in zip(DIRECTIONS, both, strict=True)
        ]
    for one in result.again:
        found += [
            {"part": "again", "what": one.name, "step": step, "exact": exact}
            for step, exact in zip(one.steps, one.exact, strict=True)
        ]
    return found


def to_json(result: CrashResult) -> dict[str, Any]:
    """The drop as data."""
    return {
        "states": {
            name: {"step": step, **result.exact[name].to_dict()}
            for name, step in _states(result).items()
        },
        "fall": result.fall,
        "lowest_of_the_average": result.lowest_averaged,
        "course": [asdict(m) for m in result.course],
        "mistakes": {name: rate.to_dict() for name, rate in result.mistakes.items()},
        "mistakes_before": {n: rate.to_dict() for n, rate in result.mistakes_before.items()},
        "groups": {
            name: dict(zip(DIRECTIONS, (a.to_dict(), b.to_dict()), strict=True))
            for name, (a, b) in result.groups.items()
        },
        "again": {
            one.name: {"lowest": one.lowest, "falls": result.falls(one)} for one in result.again
        },
        "others_that_fall": [result.others_that_fall, len(result.others)],
    }
