"""Recipes: everything that decides what a run learns, one frozen value each.

``original`` is the published experiment, to the letter. ``stable`` is ours: the same network,
normalised before each part instead of after, with a warm-up, a decay and clipping, and without
dropout. Any field can be overridden: ``python training/train.py --recipe original --lr 3e-4``.

Free of torch, so that ``--help`` is immediate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from interp.config import ModelConfig, Norm, Positions, Sight
from interp.rules import SORT, rule_named
from interp.support.device import Device
from interp.support.errors import UserError
from interp.support.fields import checked
from interp.support.limits import MOST_BATCH, MOST_LISTS, MOST_SEED, MOST_STEPS, MOST_THREADS
from interp.task import SortTask

Init = Literal["normal", "pytorch"]
"""``normal``: see interp.model.initialise. ``pytorch``: what the published modules start from."""
Optimizer = Literal["adam", "adamw"]
"""``adamw`` decays matrices only, not biases and gains."""
Schedule = Literal["constant", "cosine"]
"""``cosine`` falls to zero at the last step."""
Precision = Literal["auto", "float32", "bfloat16"]
"""``auto``: bfloat16 autocast where the processor multiplies it natively, else float32."""
Kernel = Literal["auto", "plain", "native"]
"""``plain``: PyTorch's operators. ``native``: ours in C++ between products, on a CPU and where a
compiler is. ``auto``: native where a run is long enough to pay and they can be had, else plain."""
RecipeName = Literal["stable", "original"]


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Defaults are the ``stable`` recipe."""

    recipe: RecipeName = "stable"  # which defaults the other flags start from
    # The task
    max_len: int = 48  # longest list
    n_blanks: int | None = None  # blanks before the answer (default: max_len + 1, as published)
    no_blanks: bool = False  # no blanks at all
    pos_offset: bool = False  # with --no-blanks: shift positions after SEP by max_len + 1
    task: str = SORT.name  # what is asked: a name, or your own FILE.py
    # The network
    n_layers: int = 2  # blocks
    d_model: int = 100  # width of the residual stream
    n_heads: int = 5  # attention heads per block
    d_head: int = 20  # width of a head
    d_mlp: int = 2048  # neurons per MLP
    norm: Norm = "pre"  # where blocks normalise: before each part is what keeps training stable
    positions: Positions = "sinusoidal"  # fixed sinusoids, as published, or a learned table
    embed_bias: bool = False  # a bias on the embedding, as published; it adds nothing
    init: Init = "normal"  # first weights
    sight: Sight = "all"  # what blanks and outputs may attend to, in training and ever after
    # Optimisation
    optimizer: Optimizer = "adamw"  # decay keeps unused neurons small
    lr: float = 2e-3  # peak learning rate
    beta2: float = 0.99  # of Adam's second moment; a shorter memory suits a short run
    weight_decay: float = 0.01  # adamw only
    warmup_steps: int = 50  # linear from zero; longer gains nothing here
    schedule: Schedule = "cosine"  # decay is what makes the last digits reliable
    clip_norm: float = 1.0  # gradient norm limit; 0 turns it off
    dropout: float = 0.0  # the published 0.1 costs accuracy on exact counting
    drop_mlp_out: bool = True  # dropout of what MLPs add to the stream, too, as published
    batch_size: int = 128  # lists per step; smaller learns more from as many lists than 342
    thought_steps: int = 0  # first steps in which blanks are taught what the task says of them
    blank_loss: bool = True  # whether predicting BLANK counts in loss and accuracy, as published
    steps: int = 2500  # updates
    average: float = 0.0  # keep an exponential average of the weights, of this decay (0: none)
    seed: int = 0  # weights, lists and dropout all follow from it
    # The run
    log_every: int = 10  # steps between measurements on the training batch
    eval_every: int = 100  # steps between measurements on the held-out set
    eval_lists: int = 960  # its size, stratified by length: 20 of each up to 48
    checkpoint_every: int = 500  # steps between checkpoints
    keep_crashes: int = 3  # first crashes of accuracy around which states are kept (0: none)
    micro_batch: int = 26  # lists run together: small enough to stay in the processor's cache
    threads: int = 0  # processor threads (0: all cores); any number gives the same bits
    device: Device = "auto"  # cuda, else mps, else cpu
    precision: Precision = "auto"  # arithmetic of the matrix products
    kernel: Kernel = "auto"  # what computes a step: PyTorch's operators, or ours in C++

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            if not getattr(self, name) >= 1:
                raise UserError(f"{_flag(name)} must be at least 1, not {getattr(self, name)}")
        for name, most in _AT_MOST.items():
            if getattr(self, name) > most:
                raise UserError(
                    f"{_flag(name)} must be at most {most:,}, not {getattr(self, name):,}"
                )
        for name in _AT_LEAST_ZERO:
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{_flag(name)} must be 0 or more, not {getattr(self, name)}")
        if not 0 < self.lr < math.inf:
            raise UserError(f"--lr must be above 0, not {self.lr}")
        for name in ("dropout", "beta2", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(
                    f"{_flag(name)} must be at least 0 and below 1, not {getattr(self, name)}"
                )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"{_flag(name)} must be one of {', '.join(allowed)}, "
                    f"not {getattr(self, name)!r}"
                )
        if not (self.dropout or self.drop_mlp_out):
            raise UserError("--no-drop-mlp-out leaves out one place of dropout; there is none")
        if self.no_blanks and self.n_blanks:
            raise UserError(f"--no-blanks contradicts --n-blanks {self.n_blanks}")
        if self.pos_offset and self.sort_task().n_blanks:
            raise UserError("--pos-offset stands in for missing blanks; it goes with --no-blanks")
        self.model()  # its own checks
        if self.thought_steps:
            self._check_thoughts()

    def _check_thoughts(self) -> None:
        task = self.sort_task()
        n = task.rule.n_thoughts
        if task.n_blanks <= n:
            raise UserError(
                f"--thought-steps: the task {task.rule} has thoughts for {n} blanks, and one more "
                f"emits the answer: give --n-blanks {n + 1} or more"
            )
        if self.n_layers < 2:
            raise UserError("--thought-steps needs two layers: the last one reads the thoughts")
        if not self.blank_loss:
            raise UserError("--thought-steps contradicts --no-blank-loss")
        if self.kernel == "native":
            raise UserError("--thought-steps: native kernels cannot teach; --kernel plain does")

    def sort_task(self) -> SortTask:
        published = self.max_len + 1
        blanks = published if self.n_blanks is None else self.n_blanks
        return SortTask(
            self.max_len,
            0 if self.no_blanks else blanks,
            published if self.pos_offset else 0,
            rule_named(self.task),
        )

    def model(self) -> ModelConfig:
        return ModelConfig(
            task=self.sort_task(),
            n_layers=self.n_layers,
            d_model=self.d_model,
            n_heads=self.n_heads,
            d_head=self.d_head,
            d_mlp=self.d_mlp,
            norm=self.norm,
            positions=self.positions,
            embed_bias=self.embed_bias,
            sight=self.sight,
        )

    def lr_at(self, step: int) -> float:
        """Learning rate of update ``step`` (the first is 0)."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "constant":
            return self.lr * warm
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def label(self) -> str:
        """A few words for the run's folder: ``stable-blanks-s0``."""
        task = self.sort_task()
        arm = "pos-offset" if self.pos_offset else "blanks" if task.n_blanks else "no-blanks"
        if task.n_blanks not in (0, self.max_len + 1):
            arm = f"{task.n_blanks}-blanks"
        arm += "" if self.sight == "all" else f"-{self.sight}"
        arm += "-taught" if self.thought_steps else ""
        arm += "" if self.blank_loss else "-no-blank-loss"
        length = "" if self.max_len == SortTask().max_len else f"-len{self.max_len}"
        asked = "" if task.rule == SORT else f"-{task.rule}"
        return f"{self.recipe}{asked}-{arm}{length}-s{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; as a model's config, it leaves out a task that is to sort, and what
        recipes without thoughts did not have."""
        data = asdict(self)
        if not self.thought_steps:
            del data["thought_steps"]
        if self.task == SORT.name:
            del data["task"]
        return data

    def learned(self) -> dict[str, Any]:
        """What decides what is learned, up to rounding and the dropout masks: the fields but those
        that say how a machine computes it."""
        return {key: value for key, value in asdict(self).items() if key not in MACHINE_FIELDS}

    @classmethod
    def from_dict(cls, data: Any) -> TrainConfig:
        """The inverse of ``to_dict``; unknown keys are errors, missing ones take the default."""
        return cls(**checked(cls, by_todays_names(data), "training"))


def by_todays_names(values: Any) -> Any:
    """Fields of a recipe that was written when ``task`` was still called ``rule``.

    Raises:
        UserError: if there are both.
    """
    if not isinstance(values, Mapping) or "rule" not in values:
        return values
    if "task" in values:
        raise UserError("rule is an older word for task; give one of them")
    return {"task" if key == "rule" else key: value for key, value in values.items()}


def first_difference(what: str, one: dict[str, Any], two: dict[str, Any]) -> str | None:
    """``what: key is a, not b`` of the first key whose values differ."""
    for key in one | two:
        if one.get(key) != two.get(key):
            return f"{what}: {key} is {one.get(key)!r}, not {two.get(key)!r}"
    return None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


MACHINE_FIELDS = ("threads", "device", "precision", "micro_batch", "kernel")
"""Settings of ``TrainConfig`` that may differ between machines that share one study."""

_AT_LEAST_ONE = [
    "max_len",
    "batch_size",
    "steps",
    "log_every",
    "eval_every",
    "eval_lists",
    "checkpoint_every",
    "micro_batch",
]
_AT_LEAST_ZERO = (
    "weight_decay",
    "warmup_steps",
    "clip_norm",
    "threads",
    "seed",
    "thought_steps",
    "keep_crashes",
)
_AT_MOST = {
    "batch_size": MOST_BATCH,
    "micro_batch": MOST_BATCH,
    "steps": MOST_STEPS,
    "warmup_steps": MOST_STEPS,
    "thought_steps": MOST_STEPS,
    "log_every": MOST_STEPS,
    "eval_every": MOST_STEPS,
    "checkpoint_every": MOST_STEPS,
    "eval_lists": MOST_LISTS,
    "threads": MOST_THREADS,
    "seed": MOST_SEED,
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "recipe": get_args(RecipeName),
    "init": get_args(Init),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
    "device": get_args(Device),
    "kernel": get_args(Kernel),
}

STABLE = TrainConfig()
ORIGINAL = replace(
    STABLE,
    recipe="original",
    norm="post",
    embed_bias=True,
    init="pytorch",
    optimizer="adam",
    lr=1e-3,
    beta2=0.999,
    weight_decay=0.0,
    warmup_steps=0,
    schedule="constant",
    clip_norm=0.0,
    dropout=0.1,
    batch_size=342,
    steps=6000,
)
RECIPES: dict[str, TrainConfig] = {"stable": STABLE, "original": ORIGINAL}
