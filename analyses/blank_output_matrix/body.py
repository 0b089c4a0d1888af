"""Replaces one blank at a time, and measures how far every output moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Float

from analyses.blank_output_matrix import MatrixConfig
from analyses.experiment.given import own_or
from interp import figures
from interp.answers.trials import Chunk, chunks, donors_for, sorted_digits
from interp.interventions import Transplant
from interp.stats import Estimate, bootstrap_mean
from interp.support.progress import Progress
from interp.support.seeds import stream
from interp.task import Region
from interp.transformer import Transformer

_NOTHING = 0.05  # a smaller total share, summed over all blanks, is called none
_ROUNDED = 0.0005  # shown as 0.0 %
_MOSTLY = 0.5  # a larger share near one diagonal is called a diagonal


@dataclass(frozen=True)
class MatrixResult:
    """The effect of every blank on every output, pair by pair."""

    effects: Float[torch.Tensor, "pair blank row"]
    """NaN where the answers do not differ, or the model does not tell them apart."""
    seed: int

    @cached_property
    def mean(self) -> Float[torch.Tensor, "blank row"]:
        """Over pairs; NaN for an output in which no two answers differ."""
        return self.effects.nanmean(0)

    @cached_property
    def offset(self) -> int:
        """Of the diagonal, blank minus output, that has the most effect within one step.

        Among those that meet at least half of the outputs: a corner is no diagonal.
        """
        n_blanks, n_rows = self.mean.shape
        long = range(-(n_rows // 2), max(1, n_blanks - n_rows // 2))
        return max(
            long,
            key=lambda d: (
                round(float(self._near(self._known, d)), 6),
                float(self._near(self._known, d, steps=0)),  # of equals, the one in the middle
            ),
        )

    @property
    def _known(self) -> Float[torch.Tensor, "1 blank row"]:
        return self.mean.nan_to_num(0.0)[None]

    def _near(
        self, means: Float[torch.Tensor, "draw blank row"], offset: int, steps: int = 1
    ) -> Float[torch.Tensor, " draw"]:
        """Absolute effect within some steps of a diagonal."""
        blanks, rows = torch.arange(means.shape[1])[:, None], torch.arange(means.shape[2])
        near = (blanks - rows - offset).abs() <= steps
        return (means.abs() * near).sum((1, 2))

    @cached_property
    def total(self) -> Estimate | None:
        """The effects of all blanks, one at a time, added up; mean over outputs and pairs.

        None if the model tells no two answers apart.
        """
        per_pair = self.effects.sum(1).nanmean(1)
        known = per_pair[~per_pair.isnan()]
        return bootstrap_mean(known, self.seed) if len(known) else None

    @cached_property
    def near_diagonal(self) -> Estimate | None:
        """The share of effect within one step of the best diagonal, bootstrapped over pairs.

        None if there is hardly any effect: a diagonal through noise means nothing.
        """
        if self.total is None or abs(self.total.value) < _NOTHING:
            return None
        n = len(self.effects)
        generator = stream("matrix", self.seed)
        shares = []
        for _ in range(200):
            index = torch.randint(n, (n,), generator=generator)
            shares.append(self._share(self.effects[index].nanmean(0).nan_to_num(0.0)[None]))
        low, high = torch.tensor(shares).nanquantile(torch.tensor([0.025, 0.975])).tolist()
        return Estimate(self._share(self._known), low, high, n)

    def _share(self, means: Float[torch.Tensor, "1 blank row"]) -> float:
        return float(self._near(means, self.offset) / means.abs().sum((1, 2)))


def compute(
    model: Transformer, settings: MatrixConfig, seed: int, progress: Progress
) -> MatrixResult:
    """Replace every blank of every pair in turn (``length`` is cut to what the model takes)."""
    task = model.task
    lengths = torch.full((settings.pairs,), task.nearest_length(settings.length))
    generator = stream("matrix pairs", seed)
    batch = own_or(task, lambda: task.sample(settings.pairs, generator, lengths)).to(
        model.W_U.device
    )
    blanks = [*task.region(Region.BLANKS), *task.region(Region.LAST_BLANK)]
    progress.begin(settings.pairs * len(blanks), "each blank")
    effects = torch.full((settings.pairs, len(blanks), task.n_outputs(int(lengths[0]))), torch.nan)
    with torch.no_grad():
        for chunk in chunks(model, batch, donors_for(model, batch, seed), seed):
            effects[chunk.index] = _effects(chunk, blanks, progress)
    return MatrixResult(effects, seed)


def _effects(
    chunk: Chunk, blanks: list[int], progress: Progress
) -> Float[torch.Tensor, "pair blank row"]:
    task, donor = chunk.model.task, chunk.own_donor()
    later = tuple(range(1, chunk.model.cfg.n_layers))
    ours, theirs = (
        sorted_digits(task, lists)[:, : len(chunk.rows)]
        for lists in (chunk.batch, chunk.own_donors())
    )
    both = (ours != task.pad) & (theirs != task.pad)
    ours, theirs = (tokens.masked_fill(~both, 0) for tokens in (ours, theirs))

    def difference(logits: torch.Tensor) -> torch.Tensor:
        """B's digit above A's."""
        picked = logits.gather(-1, torch.stack([ours, theirs], -1))
        return picked[..., 1] - picked[..., 0]

    before, goal = difference(chunk.base.logits), difference(donor.logits)
    way = goal - before
    told_apart = (ours != theirs) & (before < 0) & (goal > 0)
    effects = []
    for blank in blanks:
        moved = difference(chunk.logits([Transplant(donor, (blank,), later)])) - before
        effects.append((moved / way).masked_fill(~told_apart, torch.nan))
        progress.step(len(chunk.batch))
    return torch.stack(effects, 1).cpu()


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: MatrixResult) -> dict[str, str]:
    """``diagonal``, ``flat`` or ``none``."""
    if result.near_diagonal is None:
        return {"matrix": "none"}
    return {"matrix": "diagonal" if result.near_diagonal.value > _MOSTLY else "flat"}


def summary(result: MatrixResult) -> list[str]:
    """The size of the effects, where they lie, and what that means."""
    n_pairs, n_blanks, n_rows = result.effects.shape
    about = (
        f"{n_pairs} pairs of lists of {n_rows} digits; {n_blanks} blanks replaced one at a time."
    )
    if result.total is None:
        return [about, "The model tells none of these pairs apart, so nothing can be moved."]
    lines = [
        about,
        f"Effects of single blanks, added up: {result.total.percent()} of the way to the other "
        "answer.",
    ]
    near = result.near_diagonal
    if near is not None:
        even = result._share(torch.ones(1, n_blanks, n_rows))
        lines.append(
            f"Within one step of the best diagonal (blank = output {result.offset:+d}): "
            f"{near.percent()} of all effect; an even matrix has {100 * even:.1f} % there."
        )
    return [*lines, _finding(result, result.total)]


def _finding(result: MatrixResult, total: Estimate) -> str:
    found, size = verdicts(result)["matrix"], total.percent()
    n, near = total.n, result.near_diagonal
    if near is None:
        words = "Single blanks hardly feed" if total.low > _ROUNDED else "No single blank feeds"
        return (
            f"{words} any output: replaced one at a time they move the answers "
            f"{size} of the way in all (n = {n} pairs)."
        )
    if found == "diagonal":
        return (
            f"Each output has a blank of its own: {near.percent()} of the effect lies on the "
            f"diagonal blank = output {result.offset:+d} (n = {n} pairs)."
        )
    return (
        f"The blanks share what they hold: their effects add up to {size}, but only "
        f"{near.percent()} of it lies near a diagonal (n = {n} pairs)."
    )


def to_json(result: MatrixResult) -> dict[str, Any]:
    """The mean matrix (null where no answers differ) and its summary."""
    near = result.near_diagonal
    return {
        "mean_effect": [
            [None if value != value else value for value in row] for row in result.mean.tolist()
        ],
        "total": None if result.total is None else result.total.to_dict(),
        "near_diagonal": None if near is None else near.to_dict(),
        "diagonal": result.offset,
        **verdicts(result),
    }


def rows(result: MatrixResult) -> list[dict[str, Any]]:
    """A row for each cell of the mean matrix."""
    return [
        {"blank": blank, "output": output, "mean_effect": effect}
        for blank, effects in enumerate(to_json(result)["mean_effect"])
        for output, effect in enumerate(effects)
    ]


def figure(result: MatrixResult) -> go.Figure:
    """Blanks by outputs."""
    n_pairs, n_blanks, n_rows = result.effects.shape
    limit = max(0.05, float(result.mean.abs().nan_to_num(0.0).max()))
    blanks = [f"blank {j}" for j in range(n_blanks)]
    outputs = [f"out {i}" for i in range(n_rows)]
    fig = go.Figure(
        figures.heatmap(
            result.mean.tolist(), outputs, blanks, name="effect", signed=True, limit=limit
        )
    )
    fig.update_xaxes(title="output", tickangle=-90, **figures.label_axis(outputs, 24))
    fig.update_yaxes(title="blank replaced", autorange="reversed", **figures.label_axis(blanks, 24))
    title = f"Effect of replacing one blank on each output · mean of {n_pairs} pairs"
    return figures.style(fig, title, 680)
