"""Shares out the margin of one output over the parts that write to the stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analyses.one_list.direct import DirectSettings
from analyses.one_list.direct.figure import direct_bars
from analyses.one_list.direct.result import SOURCES, ListDirect, attribute
from analyses.one_list.margin import answer_list
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.support.progress import Progress

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(subject: ListSubject, settings: DirectSettings, seed: int, progress: Progress) -> Shown:
    """The margin of one output as a sum over parts.

    Raises:
        UserError: if the list has no such output.
    """
    found = attribute(answer_list(subject, seed), settings.output)
    sources = [source.value for source in SOURCES]
    table: list[dict[str, Any]] = [
        {"part": part, "logits": value, **_by_source(found, part, sources)}
        for part, value in found.parts.items()
    ]
    whole = [("sum of the parts", sum(found.parts.values())), ("the model's own", found.total)]
    table += [{"part": part, "logits": value} for part, value in whole]
    drawn = direct_bars(found, settings.output, sources)
    return Shown(drawn, table, _direct_words(found, settings.output))


def _by_source(found: ListDirect, part: str, sources: Sequence[str]) -> dict[str, float | None]:
    if part not in found.heads:
        return {f"from {source}": None for source in sources}
    values = found.by_source[found.heads.index(part)].tolist()
    return {  # NaN is no JSON
        f"from {source}": value if value == value else None
        for source, value in zip(sources, values, strict=True)
    }


def _direct_words(found: ListDirect, output: int) -> list[str]:
    right = "right" if found.total > 0 else "wrong"
    largest = sorted(found.parts, key=lambda part: -abs(found.parts[part]))[:3]
    shares = ", ".join(f"{part} {found.parts[part]:+.2f}" for part in largest)
    return [
        f"Output {output}, which is {right}: {found.margin.words}, margin {found.total:+.4f} "
        "logits.",
        f"The parts add up to {sum(found.parts.values()):+.4f}; the model's own logits give "
        f"{found.total:+.4f} (they differ by {found.error:.0e}).",
        f"The largest shares: {shares}.",
    ]
