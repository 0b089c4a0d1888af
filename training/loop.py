"""The training loop's arithmetic: one update, exactly, and as fast as the machine allows.

A step's lists are sorted by length and cut into micro-batches; each is trimmed to its longest list
and differentiated on its own, and the gradients are added up in a fixed order, so the sum is the
gradient of the whole batch. On a CPU threads take one micro-batch after another, each computing on
one core: for products this small that beats splitting every product over the cores.

Lists, dropout masks and the learning rate are functions of (seed, step), not of what came before.
That is why a resumed run needs only weights, moments and the step to go on bit for bit.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from interp.answers.decode import score
from interp.model import SortTransformer
from interp.passes.kernels import pick_kernel
from interp.passes.native import native_logits
from interp.passes.packed import (
    Dropout,
    Window,
    packed_logits,
    packed_logits_and_before,
    parts_of,
    window,
)
from interp.passes.untouched import touch
from interp.support.device import pick_device, pick_precision
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.support.strict_json import short
from interp.task import SortBatch
from interp.weights import all_finite
from training.average import WeightAverage
from training.init import pytorch_initialise
from training.optimizer_state import check_optimizer, check_tensors
from training.recipes import TrainConfig
from training.thoughts import Taught, lesson_at, nothing_taught, taught


@dataclass(frozen=True)
class StepMetrics:
    """The training batch before the update: what the published experiment plots."""

    loss: float
    """Negative log likelihood over all rows from SEP on; rows past the answer count as zeros, and
    so do BLANK predictions where they are left out of the loss (``blank_loss``)."""
    accuracy: float
    """Share of lists whose every output in the loss is right: BLANK predictions included, or not.
    """
    digit_accuracy: float
    """Share of single outputs in the loss that are right."""
    average_accuracy: float | None = None
    """``accuracy`` of the averaged weights, where they are kept."""
    thought_accuracy: float | None = None
    """Share of single thoughts that blanks hold before the last layer, while they are taught."""


@dataclass
class _Part:
    """What one micro-batch contributes: sums over its lists and rows."""

    gradients: list[Tensor]
    loss: Tensor
    exact: Tensor
    right: Tensor
    scored: Tensor
    thoughts: Taught


class Trainer:
    """A model, its optimiser, and the step they have reached."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.device = pick_device(config.device)
        self.threads = config.threads or torch.get_num_threads()
        self.precision = pick_precision(config.precision, self.device)
        kernel = "plain" if config.thought_steps else config.kernel  # native ones cannot teach
        self.kernel, self.kernel_words = pick_kernel(kernel, self.device, _pays(config))
        self._logits = native_logits if self.kernel == "native" else packed_logits
        self.model = SortTransformer(config.model(), seed=config.seed, device=self.device)
        if config.init == "pytorch":
            pytorch_initialise(self.model, config.seed)
        self.parameters = list(self.model.parameters())
        self.optimizer = _optimizer(self.model, config)
        self.step = 0
        self.average = WeightAverage(self.model, config.average) if config.average else None
        self._maker = ThreadPoolExecutor(1, initializer=_one_core_each)
        self._ahead: tuple[int, Future[SortBatch]] | None = None
        self._pool: ThreadPoolExecutor | None = None
        if self.device.type == "cpu" and self.threads > 1:
            self._pool = ThreadPoolExecutor(self.threads, initializer=_one_core_each)
        elif self.device.type == "cpu":
            _one_core_each()

    def batch(self, step: int) -> SortBatch:
        """The lists of an update. They do not depend on the blanks, so arms see the same lists."""
        generator = stream("train", self.config.seed, step)
        return self.model.task.sample(self.config.batch_size, generator).to(self.device)

    def _next_batch(self) -> SortBatch:
        """This step's lists, made while the step before was computed, and the next ones begun."""
        step, ready = self._ahead or (-1, None)
        batch = ready.result() if ready and step == self.step else self.batch(self.step)
        self._ahead = (self.step + 1, self._maker.submit(self.batch, self.step + 1))
        return batch

    def update(self, measure: bool = False) -> StepMetrics | None:
        """One step: gradients of the whole batch, clipping, the optimiser.

        Returns:
            The metrics before the update, where ``measure`` asks for them.

        Raises:
            TrainingDiverged: if the loss is not a finite number; the weights are not touched.
        """
        gradients, metrics = self.gradients(self._next_batch(), measure)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr_at(self.step)
        self.optimizer.step()
        self.step += 1
        if self.average:
            self.average.update(self.model)
        return metrics

    def gradients(
        self, batch: SortBatch, measure: bool = False
    ) -> tuple[list[Tensor], StepMetrics | None]:
        """The gradient of the mean loss over ``batch``, one tensor per parameter."""
        parts = [batch[index] for index in parts_of(self.model, batch, self.config.micro_batch)]
        done = self._on_every_core(parts)
        loss = sum(part.loss for part in done) / self._divisor
        if not torch.isfinite(torch.as_tensor(loss)):
            raise TrainingDiverged(self.step)
        gradients = [sum(each) for each in zip(*(part.gradients for part in done), strict=True)]
        return gradients, self._metrics(float(loss), batch, done) if measure else None

    def _metrics(self, loss: float, batch: SortBatch, done: list[_Part]) -> StepMetrics:
        if self.config.dropout:  # the published accuracy is measured without dropout
            answers = score(self.model, batch, digits_only=not self.config.blank_loss)
            exact, right, scored = answers.exact.sum(), answers.right.sum(), answers.scored.sum()
        else:
            exact, right, scored = (
                sum(getattr(p, k) for p in done) for k in ("exact", "right", "scored")
            )
        found = StepMetrics(loss, float(exact) / len(batch), float(right) / float(scored))
        if self._lesson is not None:
            n_right, count = (sum(getattr(p.thoughts, k) for p in done) for k in ("right", "count"))
            found = replace(found, thought_accuracy=float(n_right) / count)
        if self.average is None:
            return found
        averaged = score(self.average.model, batch, digits_only=not self.config.blank_loss)
        return replace(found, average_accuracy=float(averaged.exact.sum()) / len(batch))

    def _on_every_core(self, parts: list[SortBatch]) -> list[_Part]:
        """What each contributes, in their order: sums are the same on any number of threads.

        The core that is free takes the next; the longest lists come first, so all end together.
        """
        if self._pool is None or touch(self.model):  # interventions act in this thread alone
            return [self._part(*job) for job in enumerate(parts)]
        return list(self._pool.map(self._part, range(len(parts)), parts))

    @property
    def _divisor(self) -> int:
        """The published mean is over all rows from SEP on. It stays so without the loss on blanks:
        the gradient is then the published one less the part of the blanks."""
        return self.config.batch_size * self.model.task.n_target_rows

    @property
    def _lesson(self) -> int | None:
        return lesson_at(self.step, self.config)

    def _logits_and_thoughts(
        self, batch: SortBatch, view: Window, dropout: Dropout | None
    ) -> tuple[Tensor, Taught]:
        lesson = self._lesson
        if lesson is None:
            logits = self._logits(self.model, batch.tokens, view, dropout)
            return logits, nothing_taught(self.device)
        logits, before = packed_logits_and_before(self.model, batch.tokens, view, dropout)
        return logits, taught(before, batch, view, lesson)

    def _part(self, number: int, batch: SortBatch) -> _Part:
        """Forward and backward of one micro-batch; run on several threads at once."""
        task = self.model.task
        view = window(task, batch, digits_only=not self.config.blank_loss)
        dropout = None
        if self.config.dropout:
            key = ("dropout", self.config.seed, self.step, number)
            generator = stream(*key, device=self.device)
            dropout = Dropout(self.config.dropout, generator, mlp_out=self.config.drop_mlp_out)
        with self._autocast():
            logits, thoughts = self._logits_and_thoughts(batch, view, dropout)
        targets = task.targets(batch.tokens)[:, view.rows]
        loss = F.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=task.pad, reduction="sum"
        )
        objective = (loss + thoughts.loss) / self._divisor
        gradients = torch.autograd.grad(objective, self.parameters)
        scored = targets != task.pad
        right = (logits.argmax(-1) == targets) & scored
        return _Part(
            list(gradients),
            loss.detach(),
            exact=(right == scored).all(1).sum(),
            right=right.sum(),
            scored=scored.sum(),
            thoughts=thoughts,
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    # -- state ----------------------------------------------------------------------------------

    def check_weights(self) -> None:
        """Raises TrainingDiverged if the last update left weights that are no numbers."""
        if not all(map(all_finite, self.model.parameters())):
            raise TrainingDiverged(self.step)

    def state(self) -> dict[str, Any]:
        """Everything but the weights that the next step depends on."""
        state = {"step": self.step, "optimizer": self.optimizer.state_dict()}
        return state | ({"average": self.average.state()} if self.average else {})

    def restore(self, weights: dict[str, Tensor], state: Any) -> None:
        """Continue from a checkpoint of the same config.

        Raises:
            UserError: if ``state`` is not what :meth:`state` makes for these parameters.
        """
        step = state.get("step") if isinstance(state, dict) else None
        if type(step) is not int or not 0 < step <= self.config.steps:
            raise UserError(f"it is of no step from 1 to {self.config.steps}")
        if unknown := set(state) - {"step", "optimizer", *(["average"] if self.average else [])}:
            raise UserError(f"it holds an unknown {short(min(map(str, unknown)))}")
        check_optimizer(state.get("optimizer"), self.optimizer, step)
        if self.average:
            check_tensors(state.get("average"), self.average.state(), "its averaged weights")
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.restore(state["average"], step)
        self.step = step


class TrainingDiverged(RuntimeError):
    """The loss stopped being a number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss became NaN or infinite at step {step}")
        self.step = step


def _pays(config: TrainConfig) -> bool:
    """Whether a run is long enough for the kernels to be compiled: some minutes of a core."""
    lists, task = config.steps * config.batch_size, config.sort_task()
    weights = config.n_layers * 2 * config.d_model * config.d_mlp
    return 6 * lists * task.n_ctx * weights >= _LONG_RUN  # nor are they for models without MLPs


_LONG_RUN = 3e13  # floating-point operations


def _one_core_each() -> None:
    torch.set_num_threads(1)


def _optimizer(model: SortTransformer, config: TrainConfig) -> torch.optim.Optimizer:
    parameters, betas = dict(model.named_parameters()), (0.9, config.beta2)
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters.values(), lr=config.lr, betas=betas)
    matrices = [p for name, p in parameters.items() if ".W_" in name]
    others = [p for name, p in parameters.items() if ".W_" not in name]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas)
