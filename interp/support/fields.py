"""Fields of dataclasses whose values come from outside, held against their annotations.

    checked(ModelConfig, {"d_model": "12"}, "model")    # UserError: d_model ... cannot be '12'

JSON knows fewer types than Python and people know fewer still, so this is strict: a whole number is
no truth value, 3.0 is no whole number, NaN and infinity are no numbers.
"""

from __future__ import annotations

import math
import types
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from interp.support.errors import UserError
from interp.support.strict_json import short

_MOST = 1 << 63


def checked(cls: Any, data: Any, what: str) -> dict[str, Any]:
    """``data`` as arguments for the dataclass ``cls``; missing keys take the defaults.

    Raises:
        UserError: naming the key that is unknown, or whose value is of another type.
    """
    if not isinstance(data, Mapping):
        raise UserError(f"the {what} part of a config must be an object, not {short(data)}")
    hints = _hints(cls)
    for key, value in data.items():
        if key not in hints:
            raise UserError(f"unknown key {short(key)} in the {what} part of a config")
        if not fits(value, hints[key]):
            raise UserError(
                f"{key} in the {what} part of a config cannot be {short(value)}: "
                f"it must be {_words(hints[key])}"
            )
    return {key: _as_float(value, hints[key]) for key, value in data.items()}


def _as_float(value: Any, hint: Any) -> Any:
    """JSON may write 1.0 as 1."""
    whole = type(value) is int and (hint is float or float in get_args(hint))
    return float(value) if whole and int not in get_args(hint) else value


def check_types(instance: Any) -> None:
    """Whether the fields of a dataclass's ``instance`` hold what they are annotated with.

    Raises:
        UserError: naming the first one that does not.
    """
    for name, hint in _hints(cast(Hashable, type(instance))).items():
        if not fits(value := getattr(instance, name), hint):
            raise UserError(f"{name} cannot be {short(value)}: it must be {_words(hint)}")


@cache
def _hints(cls: Hashable) -> dict[str, Any]:
    known: Any = cls
    hints = get_type_hints(known)
    return {field.name: hints[field.name] for field in fields(known)}


def fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is what the annotation says, strictly."""
    if hint is None or hint is type(None):
        return value is None
    if get_origin(hint) in (Union, types.UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return type(value) is str  # which ones are allowed, the class says
    if hint is int:
        return type(value) is int and -_MOST <= value < _MOST
    if hint is float:
        return (type(value) is float and math.isfinite(value)) or fits(value, int)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return "text"
    named = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    named[type(None)] = "null"
    return named.get(hint, "an object" if is_dataclass(hint) else "something else")
