"""Rearranges the blanks' values under fixed keys, and says whether the answer moves along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Int

from analyses.experiment.given import own_or
from analyses.shift_blanks import ShiftConfig
from interp import figures
from interp.answers.trials import Chunk, Condition, run_trials
from interp.interventions import Intervention, Set
from interp.sites import Component, Frame, Site
from interp.stats import Estimate, clustered_rate
from interp.support.progress import Progress
from interp.support.seeds import stream
from interp.task import Region
from interp.transformer import Transformer

STAYS, MOVES = "stays", "moves"
PERMUTED = "permuted"


@dataclass(frozen=True)
class ShiftResult:
    """For every rearrangement, which outputs stayed and which moved along."""

    names: tuple[str, ...]
    """``shift -1``, ``shift 2``, ..., ``permuted``"""
    counted: Bool[torch.Tensor, "condition list row"]
    """Outputs whose own digit differs from the one that would move there."""
    stays: Bool[torch.Tensor, "condition list row"]
    moves: Bool[torch.Tensor, "condition list row"]
    seed: int

    def rate(self, name: str, which: str) -> Estimate | None:
        """The share of counted outputs that stay, or move, with a bootstrap over lists."""
        number = self.names.index(name)
        if not self.counted[number].any():
            return None
        chosen = (self.stays if which == STAYS else self.moves)[number]
        return clustered_rate(chosen, self.counted[number], self.seed)


def compute(
    model: Transformer, settings: ShiftConfig, seed: int, progress: Progress
) -> ShiftResult:
    """Rearrange the blanks' values in every way, on lists of every length."""
    n_moved = len(model.task.region(Region.BLANKS))
    sources = rearrangements(n_moved, settings.most, seed)
    conditions: dict[str, Condition] = {
        name: partial(_rearrange, source) for name, source in sources.items()
    }
    batch = own_or(model.task, lambda: model.task.held_out(settings.lists, seed)).to(
        model.W_U.device
    )
    trials = run_trials(model, batch, conditions, seed=seed, progress=progress, words="rearranging")
    counted, moved = zip(
        *(_expected(trials.answers, trials.scored, s) for s in sources.values()), strict=True
    )
    wanted = torch.stack(counted)
    return ShiftResult(
        tuple(sources),
        wanted,
        (trials.predicted == trials.answers) & wanted,
        (trials.predicted == torch.stack(moved)) & wanted,
        seed,
    )


def rearrangements(
    n_blanks: int, most: int, seed: int
) -> Mapping[str, Int[torch.Tensor, " blank"]]:
    """For each blank, the blank whose value it is given."""
    own = torch.arange(n_blanks)
    found = {}
    for shift in (s for s in range(-most, most + 1) if s):
        source = own - shift
        found[f"shift {shift:+d}"] = torch.where((source >= 0) & (source < n_blanks), source, own)
    found[PERMUTED] = torch.randperm(n_blanks, generator=stream("permute blanks", seed))
    return found


def _rearrange(source: Int[torch.Tensor, " blank"], chunk: Chunk) -> Sequence[Intervention]:
    blanks, start = chunk.model.task.region(Region.BLANKS), chunk.base.view.start
    interventions: list[Intervention] = []
    if not blanks:
        return interventions
    for layer in range(1, chunk.model.cfg.n_layers):
        values = chunk.base.at(Component.V, layer)
        taken = values[:, source.to(values.device) + blanks.start - start]
        site = Site(Component.V, layer, positions=blanks)
        interventions.append(Set(site, taken, Frame(blanks.start)))
    return interventions


def _expected(
    answers: Int[torch.Tensor, "list row"],
    scored: Bool[torch.Tensor, "list row"],
    source: Int[torch.Tensor, " blank"],
) -> tuple[Bool[torch.Tensor, "list row"], Int[torch.Tensor, "list row"]]:
    """Which outputs count, and the digit each would give if blank i held the digit of output i."""
    n_rows = answers.shape[1]
    own = torch.arange(n_rows)
    reads = torch.cat([source, own[len(source) :]])[:n_rows].clamp(max=n_rows - 1)
    moved = answers[:, reads]
    return scored & scored[:, reads] & (moved != answers), moved


# -- words and JSON -----------------------------------------------------------------------------


def verdicts(result: ShiftResult) -> dict[str, str]:
    """Whether the answer ``moves``, ``stays`` or neither (``breaks``) under shifts of one place."""
    rates = {which: result.rate("shift +1", which) for which in (STAYS, MOVES)}
    for which, rate in rates.items():
        if rate is not None and rate.low > 0.5:
            return {"answer": which}
    return {"answer": "unknown" if rates[STAYS] is None else "breaks"}


def summary(result: ShiftResult) -> list[str]:
    """Every rearrangement, then what the answer does."""
    lines = ["Outputs that would change, if the answer moved along with the values:"]
    for name in result.names:
        stays, moves = (result.rate(name, which) for which in (STAYS, MOVES))
        if stays is not None and moves is not None:
            lines.append(f"  {name}: {moves.percent()} move along, {stays.percent()} stay")
    return [*lines, _finding(result)]


def _finding(result: ShiftResult) -> str:
    stays, moves = (result.rate("shift +1", which) for which in (STAYS, MOVES))
    if stays is None or moves is None:
        return "Too few blanks, or lists too much alike, for anything to move."
    rates = (
        f"with the values shifted by one blank {moves.percent()} of the outputs move along and "
        f"{stays.percent()} stay (n = {stays.n} lists)"
    )
    words = {
        MOVES: "The answer moves with the blanks: each output reads a place of its own",
        STAYS: "The answer does not move with the blanks",
    }
    found = verdicts(result)["answer"]
    return f"{words.get(found, 'Neither the old answer nor the moved one')}: {rates}."


def to_json(result: ShiftResult) -> dict[str, Any]:
    """Every rate with its interval."""
    rates = {}
    for name in result.names:
        found = {which: result.rate(name, which) for which in (STAYS, MOVES)}
        rates[name] = {k: None if r is None else r.to_dict() for k, r in found.items()}
    return {"rates": rates, **verdicts(result)}


def figure(result: ShiftResult) -> go.Figure:
    """The share of outputs that move along and that stay, by rearrangement."""
    fig = go.Figure()
    for which, colour, symbol, words in (
        (MOVES, figures.ORANGE, "diamond", "moves along"),
        (STAYS, figures.BLUE, "circle", "stays"),
    ):
        known = [(name, r) for name in result.names if (r := result.rate(name, which))]
        trace = figures.rate_points(
            [name for name, _ in known], [r for _, r in known], words, colour, symbol
        )
        trace.showlegend = True
        fig.add_trace(trace)
    fig.update_yaxes(title="% of outputs that would change", range=[-4, 104])
    n = result.counted.shape[1]
    return figures.style(fig, f"Blanks' values moved, keys fixed · {n} lists", 440)
