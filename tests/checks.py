"""Annotations that are checked while tests run, and how not to check them.

Of every function the first few calls in a test are checked: what a loop calls a thousand times is
given the same types each time, and to check them took longer than the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial, wraps
from inspect import get_annotations, isgeneratorfunction
from types import CodeType, FunctionType
from typing import Any, get_args

import beartype
import jaxtyping
from jaxtyping import _decorator

PACKAGES = ("interp", "training", "analyses", "explorer")
CHECKED_CALLS = 8  # of each function, in a test's fixtures and again in the test
_jaxtyped, _resolved = _decorator.jaxtyped, _decorator._destring_annotation
_calls: dict[int, int] = {}  # by the identity of the function's code


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


def check_anew() -> None:
    """From here on the first calls of every function count as its first ones again."""
    _calls.clear()


def checked(function: Any = None, *, typechecker: Any) -> Any:
    """``jaxtyped``, but faster: that binds every call's arguments and checks them twice over, for
    a longer message, and keeps account of sizes also where no annotation is of an array."""
    if function is None:
        return partial(checked, typechecker=typechecker)
    if not isinstance(function, FunctionType):  # a class, a property: their functions come here
        return _jaxtyped(function, typechecker=typechecker)
    hints = _hints(function.__code__, function)
    arrays = any(map(_of_arrays, hints.values()))
    if arrays and isgeneratorfunction(function):  # runs when its call is over
        return _jaxtyped(function, typechecker=typechecker)
    return _either(function, hints, arrays)


def _hints(code: CodeType, function: FunctionType) -> dict[str, Any]:
    """Of functions that a function makes anew in every call, too: they share their code."""
    if id(code) not in _known:
        annotations = get_annotations(function).items()
        hints = {name: _resolved(hint, function.__globals__) for name, hint in annotations}
        _known[id(code)] = code, hints  # held, so that no other code comes to have its identity
    return _known[id(code)][1]


_known: dict[int, tuple[CodeType, dict[str, Any]]] = {}


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
    code = id(function.__code__)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        before = _calls.get(code, 0)
        if before >= CHECKED_CALLS or jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        _calls[code] = before + 1
        with one_call:
            return twin()(*args, **kwargs)

    return called
