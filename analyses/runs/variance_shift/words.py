"""What ``analyses.runs.variance_shift`` found, in words, as a table and as data."""

from __future__ import annotations

from typing import Any

from analyses.runs.variance_shift.result import (
    AS_IT_IS,
    EVERY_NORM,
    WITH_DROPOUT,
    Shift,
    ShiftResult,
)


def summary(result: ShiftResult) -> list[str]:
    """Every checkpoint, the last one in full, and the finding."""
    last = result.last
    return [
        f"Held-out lists exact at each step: {AS_IT_IS}; {WITH_DROPOUT}; {EVERY_NORM}:",
        *(f"  {shift.step}: {_three(shift)}" for shift in result.shifts),
        f"At step {last.step}, when one LayerNorm alone expects dropout:",
        *(f"  {name}: {last.exact[name].percent()}" for name in result.norms),
        "When only this reads the stream behind MLP 0 as if its norm expected dropout:",
        *(f"  {name}: {last.exact[name].percent()}" for name in result.readers),
        "That stream becomes shorter by: "
        + "; ".join(
            f"{region.words} {100 * (1 - factor):.2f} %" for region, factor in last.shorter.items()
        ),
        _finding(result),
    ]


def _three(shift: Shift) -> str:
    return "; ".join(shift.exact[name].percent() for name in (AS_IT_IS, WITH_DROPOUT, EVERY_NORM))


def _finding(result: ShiftResult) -> str:
    last, count = result.last, len(result.shifts)
    best = max(result.norms, key=lambda name: last.exact[name].value)
    return (
        f"Expecting dropout {result.p:g}, the LayerNorms bring accuracy back at {result.gained} of "
        f"{count} checkpoints, and take some at {result.lost}; at step {last.step} they bring it "
        f"from {last.exact[AS_IT_IS].percent()} to {last.exact[EVERY_NORM].percent()}, and the "
        f"{best} alone to {last.exact[best].percent()}."
    )


def rows(result: ShiftResult) -> list[dict[str, Any]]:
    """A row for each checkpoint and way of measuring."""
    return [
        {"step": shift.step, "hash": shift.hash, "way": name, **rate.to_dict()}
        for shift in result.shifts
        for name, rate in shift.exact.items()
    ]


def to_json(result: ShiftResult) -> dict[str, Any]:
    """The result as data."""
    return {
        "dropout": result.p,
        "gained": result.gained,
        "lost": result.lost,
        "norms": list(result.norms),
        "readers": list(result.readers),
        "checkpoints": [
            {
                "step": shift.step,
                "hash": shift.hash,
                "exact": {name: rate.to_dict() for name, rate in shift.exact.items()},
                "shorter": {region.value: factor for region, factor in shift.shorter.items()},
            }
            for shift in result.shifts
        ],
    }
