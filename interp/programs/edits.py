"""Wrong prefixes, on which programs that all sort part ways.

    prompts = edited(task, "scramble", 200, seed=0)

Each kind of edit takes a right prefix, the sorted list up to a random place, and makes one change
that hits some programs and not others: what is dropped or inserted moves the position, what is
repeated moves the counts, a scramble moves neither and breaks up runs. An edit that is impossible
(dropping another digit where there is only one) gives None, and another list is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from interp.programs.prompts import Prompts
from interp.task import N_DIGITS, SortTask

Edit = Callable[[random.Random, list[int], list[int], int], list[int] | None]
"""Given a source of chance, a list, a right prefix of it (not empty) and the most digits that a
prefix may have, the edited prefix; None where this edit cannot be made."""

_TRIES = 200  # for each prompt that is wanted, before an edit counts as impossible in a task


def drop(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """One earlier output unlike the last is left out: the position is one behind."""
    return _drop_others(chance, prefix, 1)


def drop_five(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """Five of them are left out."""
    return _drop_others(chance, prefix, 5)


def drop_copy(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """One copy of the last output is left out."""
    return prefix[:-1] if prefix[-2:-1] == prefix[-1:] else None


def insert(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """Three digits smaller than the last output are put in, in their places."""
    if not prefix[-1]:
        return None
    return sorted([*prefix, *(chance.randrange(prefix[-1]) for _ in range(3))])


def repeat(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """An output is said up to three times more, next to itself."""
    return sorted([*prefix, *[chance.choice(prefix)] * chance.randint(1, 3)])


def replace(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """Some outputs before the last (a third of them, at least one) become any other digits."""
    if len(prefix) < 2:
        return None
    places = chance.sample(range(len(prefix) - 1), max(1, (len(prefix) - 1) // 3))
    changed = list(prefix)
    for place in places:
        changed[place] = (changed[place] + chance.randrange(1, N_DIGITS)) % N_DIGITS
    return changed


def scramble(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """The outputs before the last in any order."""
    earlier = prefix[:-1]
    if len(set(prefix)) < 2:
        return None
    chance.shuffle(earlier)
    return [*earlier, prefix[-1]]


def copy_first(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """The outputs before the last in any order, but a copy of the last one is the first of them."""
    earlier, last = prefix[:-1], prefix[-1]
    if len(set(prefix)) < 2 or last not in earlier:
        return None
    earlier.remove(last)
    chance.shuffle(earlier)
    return [last, *earlier, last]


def other_list(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """As many outputs, right for another list of this length."""
    return sorted(chance.randrange(N_DIGITS) for _ in values)[: len(prefix)]


def too_long(
    chance: random.Random, values: list[int], prefix: list[int], most: int
) -> list[int] | None:
    """Digits smaller than the last output are put in until no output should be left."""
    if not prefix[-1] or len(values) > most:
        return None
    wanted = chance.randint(len(values), min(most, len(values) + 8))
    extra = wanted - len(prefix)
    return sorted([*prefix, *(chance.randrange(prefix[-1]) for _ in range(extra))])


KINDS: dict[str, Edit] = {
    "drop": drop,
    "drop five": drop_five,
    "drop a copy": drop_copy,
    "insert": insert,
    "repeat": repeat,
    "replace": replace,
    "scramble": scramble,
    "another list's": other_list,
    "too long": too_long,
}
"""By name, the kinds of wrong prefix; the functions say what each is."""

PROBES: dict[str, Edit] = {"a copy first": copy_first}
"""Kinds that ask one thing by itself, which the others mix in; no bar is set for them."""


def edited(task: SortTask, kind: str, n: int, seed: int) -> Prompts:
    """Up to ``n`` prompts, each of a random list of its own; fewer where edits are impossible.

    In every one some digit of the list is larger than the last output, so there is one to go on to.
    """
    edit, chance = (KINDS | PROBES)[kind], random.Random(f"{seed} {kind}")
    found: list[tuple[list[int], list[int]]] = []
    for _ in range(n * _TRIES):
        if len(found) == n:
            break
        values, prefix = right_prefix(chance, task)
        changed = edit(chance, values, prefix, task.max_len - 1)
        if changed and _fits(task, values, changed):
            found.append((values, changed))
    return as_prompts(found)


def any_edit(chance: random.Random, task: SortTask) -> tuple[list[int], list[int]] | None:
    """A random list of few or many digits, and a right prefix after one to three random edits."""
    values, prefix = right_prefix(chance, task, chance.randint(2, N_DIGITS))
    for _ in range(chance.randint(1, 3)):
        edit = KINDS[chance.choice(tuple(KINDS))]
        prefix = edit(chance, values, prefix, task.max_len - 1) or prefix
    return (values, prefix) if _fits(task, values, prefix) else None


def right_prefix(
    chance: random.Random, task: SortTask, distinct: int = N_DIGITS
) -> tuple[list[int], list[int]]:
    """A random list of so many different digits at most, and its answer up to a random place."""
    digits = chance.sample(range(N_DIGITS), distinct)
    values = [chance.choice(digits) for _ in range(chance.randint(2, max(2, task.max_len)))]
    return values, sorted(values)[: chance.randint(1, len(values) - 1)]


def as_prompts(found: list[tuple[list[int], list[int]]]) -> Prompts:
    """Pairs of a list and a prefix, as prompts."""
    return Prompts(tuple(tuple(v) for v, _ in found), tuple(tuple(p) for _, p in found))


def _fits(task: SortTask, values: list[int], prefix: list[int]) -> bool:
    return 0 < len(prefix) < task.max_len and prefix[-1] < max(values)


def _drop_others(chance: random.Random, prefix: list[int], n: int) -> list[int] | None:
    others = [place for place, digit in enumerate(prefix) if digit != prefix[-1]]
    if len(others) < n:
        return None
    gone = set(chance.sample(others, n))
    return [digit for place, digit in enumerate(prefix) if place not in gone]
