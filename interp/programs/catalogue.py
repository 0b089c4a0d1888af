"""The programs that a model that sorts is compared with.

    program_of("rank").answer({"values": [2, 1, 1], "prefix": [1]})       # 1

They agree on every right prefix and differ on wrong ones, except that *rank* and *histogram* are
one function, computed in two ways.
"""

from __future__ import annotations

from interp.programs.copy_and_count import COPY_AND_COUNT
from interp.programs.histogram import HISTOGRAM
from interp.programs.program import Program
from interp.programs.rank import RANK
from interp.programs.rank_with_last import RANK_WITH_LAST
from interp.programs.run_length import RUN_LENGTH
from interp.programs.selection import SELECTION
from interp.support.errors import UserError

PROGRAMS: tuple[Program, ...] = (
    COPY_AND_COUNT,
    RUN_LENGTH,
    RANK_WITH_LAST,
    RANK,
    HISTOGRAM,
    SELECTION,
)

SAME_FUNCTION = (("histogram", "rank"),)
"""Programs that differ in their variables alone: no prefix tells them apart."""


def same_function(name: str) -> tuple[str, ...]:
    """The programs that say what this one says, itself included, by name."""
    return next((names for names in SAME_FUNCTION if name in names), (name,))


def program_of(name: str) -> Program:
    """The program of that name.

    Raises:
        UserError: naming those there are.
    """
    for program in PROGRAMS:
        if program.name == name:
            return program
    names = ", ".join(program.name for program in PROGRAMS)
    raise UserError(f"no program {name!r}: there are {names}")
