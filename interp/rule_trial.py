"""Whether a rule of one's own does what it says, before anything is built on it.

    try_rule(rule)      # once its file is read: its lengths, and its answers to some lists

How it draws lists, and ``batch``, are tried where the layout is known: ``Task.try_rule``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from interp.rule import Rule
from interp.support.errors import UserError
from interp.support.strict_json import short

_LONGEST, _EACH = 8, 4  # lists that are tried: so many of every length up to this
_LENGTHS = range(1, 129)  # at which the length of answers is looked at


def try_rule(rule: Rule) -> None:
    """Its lengths; and its answers, unless it draws lists itself: they may be the only ones it
    knows an answer to.

    Raises:
        UserError: saying what is wrong, and for which list.
    """
    _try_lengths(rule)
    if rule.draw is None:
        chance = random.Random(0)
        try_answers(
            rule,
            [
                chance.choices(range(rule.symbols.n), k=length)
                for length in range(1, _LONGEST + 1)
                for _ in range(_EACH)
            ],
        )


def _try_lengths(rule: Rule) -> None:
    """Whether ``outputs`` is a number of symbols, never fewer for a longer list."""
    most = [rule.most(length) for length in _LENGTHS]
    for length, (shorter, longer) in enumerate(pairwise(most), 2):
        if longer < shorter:
            raise UserError(
                f"the rule {rule.name} has answers of {shorter} symbols to lists of {length - 1}, "
                f"and of {longer} to lists of {length}; never fewer for a longer list"
            )
    if not most[0] and not rule.ends:
        raise UserError(
            f"the rule {rule.name} has nothing to answer to a list of one symbol: let answers end "
            "with SEP (ends=True), so that there is something to say"
        )


def try_answers(rule: Rule, lists: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The answers, which must be the same when asked again.

    Raises:
        UserError: if one is not, or is no answer.
    """
    first, again = ([rule.checked_answer(values) for values in lists] for _ in range(2))
    for values, one, two in zip(lists, first, again, strict=True):
        if one != two:
            raise UserError(
                f"the rule {rule.name} answers {short(list(values))} with {short(list(one))} and, "
                f"asked again, with {short(list(two))}: an answer must follow from the list"
            )
    return first
