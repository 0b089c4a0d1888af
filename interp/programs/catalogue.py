"""The programs that a model that sorts is compared with.

    program_of("rank").answer({"values": [2, 1, 1], "prefix": [1]})       # 1

They agree on every right prefix and differ on wrong ones, but for those of
:mod:`interp.programs.same_function`.
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
