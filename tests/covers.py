"""Which tests a run takes, and in which order.

Of a walk over all pairs every run takes some; CI and ``make test-all`` take them all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest


def crossed(
    first: Sequence[Any], second: Sequence[Any], every: int, always: Collection[Any] = ()
) -> list[Any]:
    """All pairs, as parameters; marked ``exhaustive`` are those that not every run takes.

    Pairs on every so manieth diagonal are taken, so that each thing on either side meets one in
    ``every`` of those on the other, and no two meet the same ones of which there are more.

    Args:
        always: pairs that every run takes, too.

    Raises:
        ValueError: if something on one side would meet nothing on the other.
    """
    if every > min(len(first), len(second)):
        raise ValueError(f"{len(first)} by {len(second)} things have no cover of 1 in {every}")
    return [
        _marked((one, other), (i + j) % every == 0 or (one, other) in always, id=f"{one}-{other}")
        for i, one in enumerate(first)
        for j, other in enumerate(second)
    ]


def few(values: Sequence[Any], *taken: Any) -> list[Any]:
    """All of them, as parameters; marked ``exhaustive`` are those that not every run takes.

    Args:
        values: of one parameter; or tuples, of several.

    Raises:
        ValueError: if one that every run is to take is none of them.
    """
    if missing := [each for each in taken if each not in values]:
        raise ValueError(f"{missing[0]!r} is none of {list(values)}")
    return [_marked(each if isinstance(each, tuple) else (each,), each in taken) for each in values]


def _marked(values: tuple[Any, ...], taken: bool, id: str | None = None) -> Any:
    return pytest.param(*values, marks=[] if taken else LEFT_OUT, id=id)


LEFT_OUT = [pytest.mark.exhaustive, pytest.mark.slow]


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in as many shares as there are workers, one after the other, of equal numbers.

    Files that hold a test marked ``slow`` are dealt out in turn and come first in each share,
    whole, for their fixtures' sake; the others fill up the shares.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    long = [file for file in files.values() if any(one.get_closest_marker("slow") for one in file)]
    short = [item for file in files.values() if file not in long for item in file]
    shares = [[item for file in long[n::workers] for item in file] for n in range(workers)]
    sizes = [len(items) * (n + 1) // workers - len(items) * n // workers for n in range(workers)]
    for share, size in zip(shares, sizes, strict=True):
        more = max(0, size - len(share))
        share += short[:more]
        del short[:more]
    return [item for share in shares for item in share] + short
