"""Annotations that are checked while tests run, and how not to check them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial, wraps
from inspect import get_annotations, isgeneratorfunction
from types import FunctionType
from typing import Any, get_args

import beartype
import jaxtyping
from jaxtyping import _decorator

PACKAGES = ("interp", "training", "analyses", "explorer")
_jaxtyped, _resolved = _decorator.jaxtyped, _decorator._destring_annotation


def check_annotations() -> None:
    """From here on, every function and dataclass of our packages that is imported is checked."""
    jaxtyping.jaxtyped = _decorator.jaxtyped = checked  # type: ignore[assignment]
    jaxtyping.install_import_hook(PACKAGES, "beartype.beartype")


@contextmanager
def without_checks() -> Iterator[None]:
    """As users have it, annotations unchecked: for wrong arguments, and for long runs."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def checked(function: Any = None, *, typechecker: Any) -> Any:
    """``jaxtyped``, but faster: that binds every call's arguments and checks them twice over, for
    a longer message, and keeps account of sizes also where no annotation is of an array."""
    if function is None:
        return partial(checked, typechecker=typechecker)
    if not isinstance(function, FunctionType):  # a class, a property: their functions come here
        return _jaxtyped(function, typechecker=typechecker)
    hints = {
        name: _resolved(hint, function.__globals__)
        for name, hint in get_annotations(function).items()
    }
    arrays = any(map(_of_arrays, hints.values()))
    if arrays and isgeneratorfunction(function):  # runs when its call is over
        return _jaxtyped(function, typechecker=typechecker)
    return _either(function, hints, arrays)


def _of_arrays(hint: Any) -> bool:
    is_one = isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray)
    return is_one or any(map(_of_arrays, get_args(hint)))


def _twin(function: FunctionType, hints: dict[str, Any]) -> Callable[..., Any]:
    """The same code, which checks its arguments and what it returns."""
    parts = function.__code__, function.__globals__, function.__name__, function.__defaults__
    twin = FunctionType(*parts, function.__closure__)
    twin.__kwdefaults__, twin.__annotations__ = function.__kwdefaults__, hints
    return beartype.beartype(twin)


def _either(function: FunctionType, hints: dict[str, Any], arrays: bool) -> Callable[..., Any]:
    twin = cache(partial(_twin, function, hints))  # made when it is called: most never are
    one_call = _jaxtyped("context") if arrays else nullcontext()  # names of sizes hold in one call

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        with one_call:
            return twin()(*args, **kwargs)

    return called
