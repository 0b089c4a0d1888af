"""What ``analyses.circuit`` found, in words and as verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyses.circuit.result import PARTS, CircuitResult, FoundLevel
from interp.edges import CircuitEdge
from interp.methods.circuit_judge import Judged

_SHOWN = 12  # edges in words; all are in the figure and in the data


def summary(result: CircuitResult) -> list[str]:
    """The finding, in some lines."""
    lengths = ", ".join(map(str, result.lengths))
    lines = [
        f"{result.n_edges} edges, left out one after the other on {result.searched} lists while "
        "their margins were off by no more than each level allows; judged on "
        f"{result.lists} others of {lengths} {result.symbol}s, in which {result.telling[0]} first "
        f"and {result.telling[1]} later outputs differ from their donor's.",
    ]
    if not sum(result.telling):
        return [*lines, "The model answers every list as it does its donor: there is no answer."]
    lines += [_level(found) for found in result.levels]
    percent = _percent(result.keep)
    lines += [
        f"Of as many edges by attribution alone as at {percent}: {_judged(result.unchecked)}.",
        f"Without the edges at {percent}, all others kept: {_judged(result.without)}.",
        "Without random halves of them, circuit and model differ in faithfulness by "
        f"{_gaps(result)} on average.",
    ]
    lines += [_strongest(result, part) for part in range(len(PARTS))]
    return [*lines, _finding(result)]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _level(found: FoundLevel) -> str:
    random = [value for judged in found.random for value in _values(judged)]
    control = f"; as many at random at most {100 * max(random):.1f} %" if random else ""
    return (
        f"At {_percent(found.level.keep)}: {len(found.level.edges)} edges; "
        f"{_judged(found.judged)}{control}."
    )


def _values(judged: Judged) -> list[float]:
    found = [judged.faithfulness(part) for part in range(len(PARTS))]
    return [estimate.value for estimate in found if estimate]


def _judged(judged: Judged) -> str:
    parts = [
        f"{name} {estimate.percent()}"
        for part, name in enumerate(PARTS)
        if (estimate := judged.faithfulness(part))
    ]
    outputs = judged.outputs_kept
    kept = f", {outputs.percent()} of differing outputs stay" if outputs else ""
    return f"faithfulness {', '.join(parts)}{kept}, {judged.lists_kept.percent()} of lists"


def _gaps(result: CircuitResult) -> str:
    gaps = [(name, result.incompleteness(part)) for part, name in enumerate(PARTS)]
    return ", ".join(f"{100 * gap:.1f} points ({name})" for name, gap in gaps if gap is not None)


def _strongest(result: CircuitResult, part: int) -> str:
    edges = result.part_edges(part)
    ordered = sorted(edges, key=lambda i: result.mean_effects[i][part], reverse=True)[:_SHOWN]
    shown = []
    for i in ordered:
        estimate = result.effect(i, part)
        if estimate:
            shown.append(f"{result.edges[i]} {estimate.percent(0)}")
    return (
        f"{PARTS[part].capitalize()}, {len(edges)} edges at {_percent(result.keep)}; what most of "
        f"the margin is lost without: {'; '.join(shown) or 'nothing'}."
    )


def _finding(result: CircuitResult) -> str:
    found, strict = result.drawn, result.strict
    heads = sorted({str(e.sender) for e in result.edges if e.sender.kind == "head"})
    return (
        f"Of {result.n_edges} edges, {len(found.level.edges)} keep the answer to "
        f"{_percent(result.keep)} ({_judged(found.judged)}), {len(strict.level.edges)} to "
        f"{_percent(strict.level.keep)}; heads {', '.join(heads) or 'none'} are among those that "
        "write along them."
    )


def verdicts(result: CircuitResult) -> dict[str, Any]:
    """``edges``: those of the strictest level, sorted; ``faithful``: the share of outputs that they
    keep, and ``left``: that the model keeps without those of the drawn level (None if there is
    nothing to keep)."""
    return said_of(result.strict.level.edges, result.strict.judged, result.without)


def said_of(edges: Sequence[CircuitEdge], strict: Judged, without: Judged) -> dict[str, Any]:
    """The same of the strictest circuit, and of the model without the drawn one."""
    kept, left = strict.outputs_kept, without.outputs_kept
    return {
        "edges": sorted(str(edge) for edge in edges),
        "faithful": kept.value if kept else None,
        "left": left.value if left else None,
    }
