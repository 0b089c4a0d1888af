"""The two commands that import weights, as flags. Free of torch, for a quick ``--help``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from interp.config import Activation, Norm
from interp.elsewhere.facts import Facts, Positions, agreed, read_config
from interp.rules import read_rule, rule_named
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.task import Task

if TYPE_CHECKING:
    from tyro import conf
else:
    conf = lazy_import("tyro.conf")


@dataclass(frozen=True)
class ImportAlgoformer:
    """Turn weights saved by the original code into a model that every command opens."""

    file: conf.Positional[Path]  # a model_6000.pth of the original code
    folder: conf.Positional[Path]  # where to write the model; the explorer lists what is in runs/
    published: bool = False  # as the published experiment, but for the flags that are given
    max_len: int | None = None  # digits of the longest list (published: 48)
    n_blanks: int | None = None  # blanks it was trained with (published: one more than digits)
    no_blanks: bool = False  # it was trained without blanks
    heads: int | None = None  # attention heads of a layer (published: 5)
    norm: Literal["pre", "post"] | None = None  # pre: norm_first, and a last norm (published: post)
    activation: Literal["relu", "gelu"] | None = None  # of the MLPs (published: relu)
    ln_eps: float = 1e-5  # of the LayerNorms; PyTorch's default
    anyway: bool = False  # also if it sorts no better than by chance

    def __post_init__(self) -> None:
        if self.no_blanks and self.n_blanks:
            raise UserError(f"--no-blanks contradicts --n-blanks {self.n_blanks}")


@dataclass(frozen=True)
class Import:
    """Turn the state dict of a HookedTransformer into a model that every command opens."""

    file: conf.Positional[Path]  # a state dict: torch.save's, or .safetensors
    folder: conf.Positional[Path]  # where to write the model; the explorer lists what is in runs/
    task: str  # what it was trained for: sort, reverse, ..., or FILE.py with a task of yours
    max_len: int  # symbols of the longest list
    n_blanks: int  # blanks between list and answer; 0: the answer follows SEP
    min_len: int = 1  # symbols of the shortest list; --max-len, where all are of one length
    pos_offset: int = 0  # of sinusoidal positions: added to those after SEP
    config: Path | None = None  # its HookedTransformerConfig as JSON, in place of the next flags
    norm: Norm | None = None  # before each part (also where folded), after it, or none
    activation: Activation | None = None  # of the MLPs
    positions: Positions | None = None  # learned: the table in the file; or sinusoidal
    ln_eps: float | None = None  # of the LayerNorms (1e-5, if the config says nothing)
    attn_scale: float | None = None  # what scores are divided by (the root of a head's width)
    no_biases: bool = False  # biases that are not in the file are 0
    vocabulary: str | None = None  # its tokens in their order, like SEP,BLANK,PAD,0-9
    anyway: bool = False  # also if it does its task no better than by chance

    def __post_init__(self) -> None:
        for name in ("ln_eps", "attn_scale"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"--{name.replace('_', '-')} must be above 0, not {value}")

    def for_task(self) -> Task:
        """The layout, with its rule; a file of one's own is run to know it."""
        own = self.task.endswith(".py")
        rule = read_rule(Path(self.task)) if own else rule_named(self.task)
        return Task(self.max_len, self.n_blanks, self.pos_offset, rule, self.min_len)

    def facts(self) -> Facts:
        """What was said of the weights, in flags and in the config.

        Raises:
            UserError: if these contradict each other, or the config cannot be held.
        """
        said = Facts(
            self.norm,
            self.activation,
            self.positions,
            self.no_biases,
            self.ln_eps,
            self.attn_scale,
        )
        return said if self.config is None else agreed(said, read_config(self.config))
