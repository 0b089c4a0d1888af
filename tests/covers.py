"""Which cases of a walk over all pairs every run takes; CI and ``make test-all`` take them all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
        pytest.param(
            one,
            other,
            marks=[] if (i + j) % every == 0 or (one, other) in always else LEFT_OUT,
            id=f"{one}-{other}",
        )
        for i, one in enumerate(first)
        for j, other in enumerate(second)
    ]


LEFT_OUT = [pytest.mark.exhaustive]
