"""JSON that every later step can hold, from files that may be anybody's.

parse_json('{"step": 3}')       # {"step": 3}
parse_json('{"lr": NaN}')       # ValueError: it holds NaN, which is no number
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from typing import Any

MOST_DEPTH = 40
"""Objects and lists inside one another. Ours have 8."""
_SHORT = 60  # characters of what a message quotes


def parse_json(text: str) -> Any:
    """Strict JSON: no NaN, no key twice, whole numbers of 64 bits, numbers that are finite, at
    most ``MOST_DEPTH`` levels.

    Raises:
        ValueError: with the reason.
    """
    try:
        value = json.loads(
            text,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(value)
    _check_text(value, text)
    return value


def _whole(text: str) -> int:
    if len(text) > 20 or not -(1 << 63) <= int(text) < 1 << 63:
        raise ValueError(f"the number {cut(text)} takes more than 64 bits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {cut(text)} is too large")
    return value


def _no_constant(text: str) -> None:
    raise ValueError(f"it holds {text}, which is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, inside in pairs:
        if key in value:
            raise ValueError(f"the key {cut(key)!r} is there twice")
        value[key] = inside
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MOST_DEPTH):
        if not level:
            return
        inside = (outer.values() if isinstance(outer, dict) else outer for outer in level)
        level = [v for values in inside for v in values if isinstance(v, dict | list)]
    if level:
        raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep")


def _check_text(value: Any, text: str) -> None:
    if _HALF.search(text):  # half of a pair of UTF-16: nothing could print it
        json.dumps(value, ensure_ascii=False).encode()


_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def without_nan(value: Any) -> Any:
    """``value`` for JSON, with null for what is no number: where there was nothing to measure."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return value


def short(value: Any) -> str:
    """``value`` as a message quotes it: on one line, and not at length."""
    return cut(" ".join(reprlib.repr(value).split()))


def cut(text: str, most: int = _SHORT) -> str:
    return text if len(text) <= most else text[:most] + "…"
