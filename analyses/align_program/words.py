"""What ``analyses.align_program`` found, in words, as verdicts and as data."""

from __future__ import annotations

from typing import Any

from analyses.align_program.result import Alignment, AlignResult, PartSet
from interp.sites import place_name

_SHOWN = 5  # parts in a line of the summary


def ranked(result: AlignResult, alignment: Alignment) -> list[int]:
    """Parts, those of the highest IIA first; of equals, in the order of the forward pass."""
    hits = alignment.hits.sum(1).tolist()
    return sorted(range(len(result.parts)), key=lambda p: (-hits[p], p))


def summary(result: AlignResult) -> list[str]:
    """For every variable its best parts and the smallest set; then where the variables are."""
    lines = [
        f"The program {result.program.name}: {result.program.words}",
        f"The model says the same to {result.agreement.percent()} of {result.agreement.n} prompts; "
        "the others are not used.",
        "Interchange-intervention accuracy, the best parts of each variable:",
    ]
    for alignment in result.own:
        if alignment.family != "control":
            n = len(alignment.counterfactual)
            lines.append(f"  {alignment.variable}, {alignment.family} (n = {n}): "
                         + _best(result, alignment))  # fmt: skip
    lines.append(f"  {result.foreign}, which it does not have: " + _foreign_words(result))
    lines.append("The smallest set of parts found for each:")
    lines += [f"  {_set_words(each)}" for each in result.sets]
    if result.subspaces:
        lines.append("Subspaces, by how many directions they have, judged on other lists:")
    for each in result.subspaces:
        lines.append(
            f"  {each.variable}, {each.k} of the stream {place_name(each.component, each.layer)}, "
            f"{each.what}: {each.accuracy.percent(0)} (n = {each.accuracy.n})"
        )
    return [*lines, _finding(result)]


def _best(result: AlignResult, alignment: Alignment) -> str:
    shown = ranked(result, alignment)[:_SHOWN]
    return ", ".join(f"{result.parts[p].words} {alignment.accuracy(p).percent(0)}" for p in shown)


def _foreign_words(result: AlignResult) -> str:
    found = [a for a in result.alignments if a.program != result.program.name]
    return ", ".join(_best(result, a) for a in found) or "no pairs"


def _set_words(each: PartSet) -> str:
    own, source, other = each.misses
    reached = "" if each.reached else " (the bar is not reached)"
    return (
        f"{each.variable}, {each.family}: {' + '.join(each.parts)} {each.accuracy.percent(0)}"
        f"{reached}; missed: {own} as before, {source} the source's answer, {other} another"
    )


def holders(result: AlignResult, variable: str, family: str = "any") -> list[str]:
    """Heads and MLPs, at the row and elsewhere, that reach the bar by themselves."""
    alignment = result.of(variable, family)
    if alignment is None:
        return []
    return [
        part.words
        for p, part in enumerate(result.parts)
        if part.adds and alignment.accuracy(p).value >= result.config.bar
    ]


def _finding(result: AlignResult) -> str:
    pieces = []
    for name in result.program.names:
        held = [h for family in ("any", "alike") if (h := holders(result, name, family))]
        if held:
            pieces.append(f"{name} in {', '.join(held[0])}")
    lost = [n for n in result.program.names if not any(p.startswith(f"{n} in") for p in pieces)]
    bar = f"{100 * result.config.bar:g} %"
    found = (
        f"At {bar} or more, by themselves: {'; '.join(pieces)}"
        if pieces
        else (f"No head or MLP reaches {bar} for any variable by itself")
    )
    rest = f". In no single head or MLP: {', '.join(lost)}" if lost else ""
    return f"{found}{rest}."


_LIST = ("counts", "in_order", "left")


def verdicts(result: AlignResult) -> dict[str, Any]:
    """``list`` and ``answer``: the heads and MLPs that hold what the program knows of the list, and
    its answer, for any source. ``foreign``: whether any part holds a variable it does not have."""
    known = [name for name in _LIST if name in result.program.names]
    foreign = [a for a in result.alignments if a.program != result.program.name]
    best = [a.accuracy(p).value for a in foreign for p in range(len(result.parts))]
    return {
        "list": sorted(holders(result, known[0])) if known else [],
        "answer": sorted(holders(result, "answer")),
        "foreign": max(best, default=0.0) >= result.config.bar,
    }


def to_json(result: AlignResult) -> dict[str, Any]:
    """IIA of every variable, kind of source and part; the smallest sets; the subspaces."""
    return {
        "program": result.program.name,
        "agreement": result.agreement.to_dict(),
        "parts": [part.words for part in result.parts],
        "accuracy": [
            {
                "program": a.program,
                "variable": a.variable,
                "sources": a.family,
                "n": len(a.counterfactual),
                "parts": [a.accuracy(p).to_dict() for p in range(len(result.parts))],
            }
            for a in result.alignments
        ],
        "sets": [
            {
                "variable": s.variable,
                "sources": s.family,
                "parts": list(s.parts),
                "reached": s.reached,
                "missed": dict(zip(("as before", "source", "another"), s.misses, strict=True)),
                **s.accuracy.to_dict(),
            }
            for s in result.sets
        ],
        "subspaces": [
            {
                "variable": s.variable,
                "stream": place_name(s.component, s.layer),
                "k": s.k,
                "what": s.what,
                **s.accuracy.to_dict(),
            }
            for s in result.subspaces
        ],
        **verdicts(result),
    }
