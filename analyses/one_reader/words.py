"""What ``analyses.one_reader`` found, in words, as verdicts, as a table and as data."""

from __future__ import annotations

from typing import Any

from analyses.one_reader.result import CUTS, RIGHT, OneReaderResult
from interp.methods.one_reader import OTHERS

_PROGRAM = len(CUTS) - 1
"""The cut of all."""


def summary(result: OneReaderResult) -> list[str]:
    """Tables of kinds by cuts and of parts of the row, then who has to read."""
    width = max(len(kind.name) for kind in result.kinds)
    lines = [f"The model says the same when these are {known_by(result)}, %:"]
    lines.append(" " * (width + 2) + "".join(f"  {name:>15}" for name in CUTS))
    for kind in result.kinds:
        cells = "".join(f"  {100 * rate.value:>15.1f}" for rate in kind.rates)
        lines.append(f"  {kind.name.ljust(width)}{cells}  (n = {len(kind.said)})")
    lines.append(
        "With one part of the row from any other prompt, how often model and program say the same:"
    )
    for one in result.exchanged:
        changes = one.where_it_changes
        where = (
            f"; where the model's answer changes {changes.percent()} (n = {changes.n})"
            if changes
            else "; the model's answer never changes"
        )
        lines.append(f"  {one.part}: {one.rate.percent()} (n = {one.rate.n}){where}")
    counts = ", ".join(f"{n} for {name}" for name, n in result.known.items())
    lines.append(f"Features that tokens are known by: {counts}.")
    return [*lines, _finding(result)]


def known_by(result: OneReaderResult) -> str:
    return f"known by digit{', place and count' if result.config.counts else ' and place'} alone"


def _finding(result: OneReaderResult) -> str:
    right, worst, least = result.kinds[0], result.worst(_PROGRAM), result.least_exchanged
    rates = (
        f"{right.rates[_PROGRAM].percent()} of outputs after {RIGHT} (n = {len(right.said)})"
        f" and, where it is worst ({worst.name}), {worst.rates[_PROGRAM].percent()} "
        f"(n = {len(worst.said)}); with one part of the row from another prompt, where it is worst "
        f"({least.part}), {least.rate.percent()} (n = {least.rate.n})"
    )
    known = known_by(result)
    if not result.costs(_PROGRAM):
        return (
            f"Only the row that answers has to read: with every other token {known}, the program "
            f"says what the model says in {rates}."
        )
    needed = [name for cut, name in enumerate(CUTS) if cut < _PROGRAM and result.costs(cut)]
    who = " and ".join(f"the {name}" for name in needed) or "others, taken together,"
    return (
        f"What {who} have read is needed: with every token but the row that answers {known}, the "
        f"program says what the model says in {rates}."
    )


def verdicts(result: OneReaderResult) -> dict[str, bool]:
    """For every region, whether what is read there is needed: ``rest_reads``."""
    return {f"{name}_reads": result.costs(cut) for cut, name in enumerate(OTHERS)}


def rows(result: OneReaderResult) -> list[dict[str, Any]]:
    """Every number of the figure: the part it is in, what it is of, and its value."""
    found: list[dict[str, Any]] = [
        {"part": "cut", "of": name, "kind": kind.name, **rate.to_dict()}
        for kind in result.kinds
        for name, rate in zip(CUTS, kind.rates, strict=True)
    ]
    for one in result.exchanged:
        found.append({"part": "exchanged", "of": one.part, "kind": "all", **one.rate.to_dict()})
        if changes := one.where_it_changes:
            found.append(
                {"part": "exchanged", "of": one.part, "kind": "changed", **changes.to_dict()}
            )
    return found


def to_json(result: OneReaderResult) -> dict[str, Any]:
    """Agreement of every cut with every kind, of every exchange, and what follows."""
    return {
        "agreement": {
            name: {kind.name: kind.rates[cut].to_dict() for kind in result.kinds}
            for cut, name in enumerate(CUTS)
        },
        "exchanged": {
            one.part: {
                "all": one.rate.to_dict(),
                "changed": None if (c := one.where_it_changes) is None else c.to_dict(),
            }
            for one in result.exchanged
        },
        "known": dict(result.known),
        "bar": result.config.bar,
        "needed": [name for cut, name in enumerate(CUTS) if result.costs(cut)],
    }
