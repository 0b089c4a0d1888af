"""Activation patching between one list and another, a map: what does each place carry by itself?

    python -m analyses.one_list.patch --list 3,1,4,1,5 --corrupt 3,1,4,1,9
    python -m analyses.one_list.patch --rows v --direction noising --method gradient

The clean list 3 1 4 1 5 sorts to 1 1 3 4 5, the corrupted 3 1 4 1 9 to 1 1 3 4 9: they part at
``out 4``. Both are given the outputs they share, and one place at a time (a row of the map) is
exchanged at one position (a column):

- denoising puts the clean value into the corrupted run: 1 means it alone brings the answer back;
- noising puts the corrupted value into the clean run: 1 means that without it the answer is lost.

A cell is the change of the logit difference (clean answer minus corrupted one) as a share of that
between the two runs. Positions after the one that is read are left out: nothing there is seen.
``--method exact`` patches every cell in turn; the others guess all of them from gradients
(attribution patching, see :mod:`interp.methods.attribution_patching`), at once and with errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList

Direction = Literal["denoising", "noising"]
"""As in :mod:`interp.methods.pair_runs`, which imports torch."""
Rows = Literal["stream", "z", "q", "k", "v"]
"""What the rows of a map are: the residual stream and what is added to it; or the outputs,
queries, keys or values of the heads, together and one by one."""
ROWS: tuple[Rows, ...] = get_args(Rows)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
Method = Literal["exact", "gradient", "integrated", "integrated inputs"]


@dataclass(frozen=True)
class PatchSettings:
    """The other list, and what is patched how."""

    corrupt: str = ""  # the list to exchange with, as long, or a file (the last digit changed)
    typed_lists: ClassVar = ("corrupt",)
    direction: Direction = "denoising"  # clean into corrupted, or the other way round
    rows: Rows = "stream"  # stream, or the heads' outputs z, queries q, keys k or values v
    method: Method = "exact"  # patch every cell, or guess them by gradients


EXPERIMENT = Experiment(
    name="one_list.patch",
    title="Activation patching between two lists",
    about=OfList,
    settings=PatchSettings(),
)
