"""What a probe is asked at one blank, and how it is fitted: the inside of
:mod:`interp.methods.probes`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interp.support.seeds import stream
from interp.task import SortBatch, SortTask

Array = np.ndarray
_HELD_OUT = 1 / 3  # of the lists
_ROUNDING = 1e-4  # what varies less, beside the size of a feature, is nothing but rounding errors
_PENALTIES = np.logspace(-4, 3, 8)  # of the ridge: chosen by leaving one list out, by target
_STEPS = 300  # of the logistic regression; stopped early, it is as good on other lists


def targets_of(task: SortTask) -> tuple[str, ...]:
    """What a probe is asked; C(<=v) of the last digit v is the length."""
    return ("sorted", *(f"C(<={v})" for v in task.alphabet[:-1]), "length")


class Kind(StrEnum):
    """Whose score it is."""

    TRAINED = "the model"
    """The probe of the model in question."""
    CONTROL = "control task"
    """The same features, arbitrary labels."""
    UNTRAINED = "untrained twin"
    """The same labels, the features of a random model."""
    BASELINE = "j and length alone"
    """No features: the best guess."""


def held_out(batch: SortBatch, seed: int) -> Bool[Tensor, " list"]:
    """A third of the lists, all copies of a list on the same side."""
    groups = torch.unique(batch.tokens.cpu(), dim=0, return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    rank = torch.randperm(n_groups, generator=stream("probe split", seed))
    return rank[groups] < max(1, round(n_groups * _HELD_OUT))


def best_guess(task: SortTask, j: int, lengths: Int[Tensor, " list"]) -> Int[Tensor, " list"]:
    """The most probable sorted[j] of lists of known lengths above j, digits being uniform.

    sorted[j] <= v exactly if more than j of the digits are: a binomial tail.
    """
    from scipy.stats import binom

    shares = np.arange(1, task.n_symbols + 1) / task.n_symbols
    at_most = torch.from_numpy(binom.sf(j, lengths.cpu().numpy()[:, None], shares))
    return at_most.diff(dim=1, prepend=torch.zeros(len(lengths), 1)).argmax(1)


@dataclass(frozen=True)
class Cell:
    """What is asked at blank j, of the lists that are longer than j."""

    j: int
    train: Array  # [some] lists to fit on
    test: Array  # [others]
    digits: tuple[Array, Array]  # [list] sorted[j], and its arbitrary labels
    values: tuple[Array, Array]  # [list, value] counts and length, and their arbitrary labels
    guesses: tuple[Array, Array]  # [test] and [test, value]: the best without any features

    @classmethod
    def of(
        cls, task: SortTask, batch: SortBatch, held: Bool[Tensor, " list"], j: int, seed: int
    ) -> Cell:
        n = task.n_symbols
        slots, lengths = batch.tokens[:, : task.max_len].cpu(), batch.lengths.cpu()
        train = ((lengths > j) & ~held).nonzero()[:, 0]
        test = ((lengths > j) & held).nonzero()[:, 0]
        digits = task.answers(slots)[:, j].clamp(max=n - 1)  # PAD where there is no such
        counts = (slots[:, None] <= torch.arange(n - 1)[:, None]).sum(2)
        values = torch.cat([counts, lengths[:, None]], 1)
        # Each type of list, by its true label and last digit, gets the label of a random list.
        donors = torch.randint(
            max(1, len(train)),
            (values.shape[1] + 1, task.max_len + n, n),
            generator=stream("probe control", seed, j),
        )

        def arbitrary(labels: Tensor, column: int) -> Tensor:
            return labels[train][donors[column]][labels, slots[:, -1]]

        mixed = [arbitrary(values[:, column], column) for column in range(values.shape[1])]
        at_test = lengths[test, None].double()
        shares = torch.arange(1, n) / n
        expected = torch.cat(
            [at_test * shares, values[train, -1:].double().mean().expand_as(at_test)], 1
        )
        return cls(
            j,
            train.numpy(),
            test.numpy(),
            (digits.numpy(), arbitrary(digits, -1).numpy()),
            (values.numpy(), torch.stack(mixed, 1).numpy()),
            (best_guess(task, j, lengths[test]).numpy(), expected.numpy()),
        )

    def errors(self, features: Array, twin: Array) -> Array:
        """[target, kind, test] of features [list, d_model] of the model and of its twin."""
        own, random = (scaled(x, self.train) for x in (features, twin))
        by_kind = {
            Kind.TRAINED: self._fitted(own, 0),
            Kind.CONTROL: self._fitted(own, 1),
            Kind.UNTRAINED: self._fitted(random, 0),
            Kind.BASELINE: self._errors(*self.guesses, 0),
        }
        return np.stack([by_kind[kind] for kind in Kind], 1)

    def _fitted(self, x: Array, labels: int) -> Array:
        from sklearn.linear_model import RidgeCV

        digits, values = self.digits[labels][self.train], self.values[labels][self.train]
        ridge = RidgeCV(_PENALTIES, alpha_per_target=True).fit(x[self.train], values)
        told = ridge.predict(x[self.test])
        return self._errors(_classified(x[self.train], digits, x[self.test]), told, labels)

    def _errors(self, digits: Array, values: Array, labels: int) -> Array:
        """[target, test] of what was told."""
        wrong = digits != self.digits[labels][self.test]
        true = self.values[labels]
        spread = np.square(true[self.test] - true[self.train].mean(0)).mean(0)
        spread[np.ptp(true[self.test], axis=0) == 0] = np.nan
        return np.concatenate([wrong[:, None], np.square(values - true[self.test]) / spread], 1).T


def scaled(x: Array, train: Array) -> Array:
    """Features [list, d_model] centred, along their principal axes, and of mean variance 1.

    Axes along which the lists to fit on hardly vary are left out: fitted to rounding errors there,
    a probe would tell nothing, or nonsense of the first list that does vary. Otherwise a rotation
    changes neither probe.
    """
    centred = x - x[train].mean(0)
    _, sizes, axes = np.linalg.svd(centred[train], full_matrices=False)
    kept = sizes > _ROUNDING * np.sqrt(np.square(x[train]).mean() * len(train))
    if not kept.any():
        return np.zeros((len(x), 1))
    scale = np.sqrt(np.square(sizes[kept]).sum() / (len(train) * x.shape[1]))
    return centred @ axes[kept].T / scale


def _classified(x: Array, labels: Array, unseen: Array) -> Array:
    """Labels of unseen features, by multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) == 1:
        return np.full(len(unseen), labels[0])
    return LogisticRegression(C=10.0, max_iter=_STEPS, tol=1e-3).fit(x, labels).predict(unseen)
