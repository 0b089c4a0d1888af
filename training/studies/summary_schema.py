"""What a ``summary.json`` must be to be read: every part that a study's results rest on."""

from __future__ import annotations

from typing import Any

from interp.support.errors import UserError
from interp.support.fields import checked, fits
from interp.support.strict_json import short
from training.recipes import TrainConfig
from training.studies.measures import CurveMeasures

SUMMARY_FORMAT = 1
_PARTS: dict[str, Any] = {
    "plan": str,
    "arm": str,
    "seed": int,
    "steps": int,
    "diverged_at": int | None,
    "thresholds": dict,
    "convergent": bool,
    "batch": dict,
    "held_out": dict,
    "final": dict | None,
    "blanks": dict | None,
    "model_hash": str | None,
    "cost": dict,
}
_ESTIMATE = {"value": float, "low": float, "high": float, "n": int}  # interp.stats.Estimate


def check_summary(data: Any, source: object) -> dict[str, Any]:
    """``data`` as the summary of a run.

    Raises:
        UserError: naming ``source`` and the part that is not what it must be.
    """
    try:
        return _check(data)
    except UserError as error:
        raise UserError(f"{source} is not the summary of a run: {error}") from None


def _check(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or type(data.get("format")) is not int or data["format"] < 1:
        raise UserError("it states no format")
    if data["format"] > SUMMARY_FORMAT:
        raise UserError(f"it is of a newer version (format {data['format']}): upgrade sortscope")
    for name, kind in _PARTS.items():
        if name not in data or not fits(data[name], kind):
            raise UserError(f"its {name} cannot be {short(data.get(name))}")
    TrainConfig.from_dict(data.get("training"))
    for curve in ("batch", "held_out", *(["average"] if "average" in data else [])):
        CurveMeasures(**checked(CurveMeasures, data[curve], curve))
    for estimate in _estimates(data):
        if not isinstance(estimate, dict) or set(estimate) != set(_ESTIMATE):
            raise UserError(f"an estimate in it cannot be {short(estimate)}")
        for name, kind in _ESTIMATE.items():
            if not fits(estimate[name], kind):
                raise UserError(f"{name} of an estimate in it cannot be {short(estimate[name])}")
    return data


def _estimates(data: dict[str, Any]) -> list[Any]:
    """Everything that is a number with an interval; a part that is not there is an error."""
    found = []
    if final := data["final"]:
        found += [final.get("exact_match"), final.get("digit_accuracy")]
    if blanks := data["blanks"]:
        under = blanks.get("exact_match_under")
        found += list(under.values()) if isinstance(under, dict) else [under]
        found += [blanks["follow_rate"]] if blanks.get("follow_rate") is not None else []
    return found
