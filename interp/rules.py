"""The rules that ship, and those in files of one's own.

    rule_named("reverse").answer([3, 1, 4])     # [4, 1, 3]
    read_rule(Path("my_task.py"))               # its RULE; later rule_named(its name) finds it

A file of one's own is a Python program, and to read it is to run it: only a command line may name
one. A checkpoint says no more than a rule's name.
"""

from __future__ import annotations

import copyreg
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Int

from interp.lists import DIGITS, Symbols
from interp.rule import Rule, one
from interp.rule_trial import try_rule
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.support.strict_json import short

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")

Slots = Int[Any, "batch slot"]

# -- sorting --------------------------------------------------------------------------------------


def _ascending(slots: torch.Tensor, pad: int) -> torch.Tensor:
    return slots.sort(dim=1).values  # padding is above every symbol, so it sorts to the right


def _descending(slots: torch.Tensor, pad: int) -> torch.Tensor:
    found = slots.masked_fill(slots == pad, -1).sort(dim=1, descending=True).values
    return found.masked_fill(found == -1, pad)


def _falling(values: Sequence[int]) -> list[int]:
    return sorted(values, reverse=True)


_SORTED, _SORTS = "the list in ascending order", ("sorts", "sorted")
SORT = Rule("sort", DIGITS, sorted, _SORTED, batch=_ascending, order="ascending", verb=_SORTS)
DESCENDING = Rule(
    "sort-descending",
    DIGITS,
    _falling,
    "the list in descending order",
    batch=_descending,
    order="descending",
    verb=_SORTS,
)
SORT_20 = replace(SORT, name="sort-20", symbols=Symbols(20))


# -- other orders ---------------------------------------------------------------------------------


def _backwards(values: Sequence[int]) -> list[int]:
    return list(reversed(values))


def _flipped(slots: torch.Tensor, pad: int) -> torch.Tensor:
    return slots.flip(1)


def _each_once(values: Sequence[int]) -> list[int]:
    return sorted(set(values))


def _no_repeats(slots: torch.Tensor, pad: int) -> torch.Tensor:
    found = slots.sort(dim=1).values
    found[:, 1:] = found[:, 1:].masked_fill(found[:, 1:] == found[:, :-1], pad)
    return found.sort(dim=1).values[:, : DIGITS.n]


def _at_most_ten(length: int) -> int:
    return min(length, DIGITS.n)


REVERSE = Rule("reverse", DIGITS, _backwards, "the list backwards", batch=_flipped)
UNIQUE = Rule(
    "unique",
    DIGITS,
    _each_once,
    "the digits of the list in ascending order, each once",
    outputs=_at_most_ten,
    ends=True,
    batch=_no_repeats,
    order="ascending",
)


# -- a single symbol ------------------------------------------------------------------------------


def _odd(values: Sequence[int]) -> list[int]:
    return [sum(values) % 2]


def _odd_ones(slots: torch.Tensor, pad: int) -> torch.Tensor:
    return (slots == 1).sum(dim=1, keepdim=True) % 2


def _has_three(values: Sequence[int]) -> list[int]:
    return [int(any(sum(three) % 10 == 0 for three in combinations(values, 3)))]


def _holds_three(slots: torch.Tensor, pad: int) -> torch.Tensor:
    """By counts: some three digits of sum 0 modulo 10 each occur as often as they are needed."""
    threes = [c for c in combinations_with_replacement(range(10), 3) if sum(c) % 10 == 0]
    needed = torch.tensor([[three.count(digit) for digit in range(10)] for three in threes])
    counts = (slots[..., None] == torch.arange(10, device=slots.device)).sum(1)  # [batch, digit]
    there = (counts[:, None] >= needed.to(slots.device)).all(-1)
    return there.any(-1, keepdim=True).long()


def _half_with_three(lengths: torch.Tensor, n_slots: int, generator: Any) -> torch.Tensor:
    """Each list is to hold three such digits or not, at even chance, where its length allows both.

    Lists are of few or many different digits, and drawn again until they are as they are to be:
    of uniform digits nearly all long lists would hold three.
    """
    n, device = len(lengths), lengths.device
    wanted = torch.rand(n, generator=generator, device=device) < 0.5
    found = torch.zeros(n, n_slots, dtype=torch.long, device=device)
    todo = torch.ones(n, dtype=torch.bool, device=device)
    listed = torch.arange(n_slots, device=device) >= n_slots - lengths[:, None]
    for _ in range(_TRIES):
        some = torch.randint(1, 11, (n, 1), generator=generator, device=device)
        order = torch.rand(n, 10, generator=generator, device=device).argsort(1)
        chosen = (torch.rand(n, n_slots, generator=generator, device=device) * some).long()
        drawn = order.gather(1, chosen)
        found = torch.where(todo[:, None], drawn, found)
        todo &= _holds_three(drawn.masked_fill(~listed, 10), 10)[:, 0].bool() != wanted
    return found


_THREES = [c for c in combinations(range(13), 3) if sum(c) % 13 == 0]  # 22 of them


def _thirteen_threes(values: Sequence[int]) -> list[int]:
    return [min(12, sum(_are_there(values)))]


def _how_many_there(values: Sequence[int]) -> list[int]:
    """Of each three, how many of its numbers the list holds: 0 to 3."""
    return [len(set(three) & set(values)) for three in _THREES]


def _are_there(values: Sequence[int]) -> list[int]:
    """Of each three: whether the list holds all of it."""
    return [int(n == 3) for n in _how_many_there(values)]


def _count_threes(slots: torch.Tensor, pad: int) -> torch.Tensor:
    there = (slots[..., None] == torch.arange(13, device=slots.device)).any(1)  # [batch, number]
    threes = torch.tensor(_THREES, device=slots.device)
    return there[:, threes].all(-1).sum(1, keepdim=True).clamp(max=12)


def _different(lengths: torch.Tensor, n_slots: int, generator: Any) -> torch.Tensor:
    """No number twice, in lists of up to 13."""
    shape, device = (len(lengths), max(13, n_slots)), lengths.device
    return torch.rand(shape, generator=generator, device=device).argsort(1)[:, :n_slots] % 13


_TRIES = 40  # then a list stays as it is; those of one or two digits never hold three

PARITY = Rule(
    "parity", Symbols(2, "bit"), _odd, "1 if the list holds an odd number of ones, else 0",
    outputs=one, batch=_odd_ones,
)  # fmt: skip
MATCH_3 = Rule(
    "match3",
    DIGITS,
    _has_three,
    "1 if three digits of the list have a sum of 0 modulo 10 (Pfau et al. 2024), else 0",
    outputs=one,
    batch=_holds_three,
    draw=_half_with_three,
)
THREES = Rule(
    "threes",
    Symbols(13),
    _thirteen_threes,
    "how many threes of different numbers of the list have a sum of 0 modulo 13 (12, if more)",
    outputs=one,
    batch=_count_threes,
    draw=_different,
    thoughts=(_how_many_there, _are_there),
)

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (SORT, DESCENDING, SORT_20, REVERSE, UNIQUE, PARITY, MATCH_3, THREES)
}
_OWN: dict[str, Rule] = {}
_READ: dict[Path, Rule] = {}  # by their files


# -- finding one ----------------------------------------------------------------------------------


def rule_named(name: str) -> Rule:
    """A rule that ships, or that a file gave which this process has read.

    Raises:
        UserError: if there is none.
    """
    if name not in RULES | _OWN:
        raise UserError(
            f"there is no task {short(name)}; there is {', '.join(RULES)}; a task of your own is "
            "in a file, to be named on the command line: --task FILE.py"
        )
    return (RULES | _OWN)[name]


def _by_name(rule: Rule) -> Any:
    """How a rule is pickled: the functions of a file of one's own can be imported from nowhere."""
    if (RULES | _OWN).get(rule.name) is rule:
        return rule_named, (rule.name,)
    return object.__reduce_ex__(rule, 2)


copyreg.pickle(Rule, _by_name)


def read_rule(path: Path) -> Rule:
    """Run a file of one's own, once, and keep its ``RULE`` for :func:`rule_named`.

    Raises:
        UserError: if it cannot be run, or holds no ``RULE``, one by the name of one that ships, or
            one that does not do what it says.
    """
    known = _READ.get(path.resolve())
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UserError(f"{path} is no Python file with a task in it")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        raise UserError(f"{path} cannot be run: {type(error).__name__}: {error}") from None
    rule = getattr(module, "RULE", None)
    if not isinstance(rule, Rule):
        raise UserError(f"{path} holds no RULE = Rule(...)")
    if rule.name in RULES:
        raise UserError(f"{path}: {rule.name} is the name of a task that ships; choose another")
    try:
        try_rule(rule)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    _OWN[rule.name] = _READ[path.resolve()] = rule
    return rule
