"""Which heads carry the answer? Ranked by what ablating them costs, beside where they look.

    python -m analyses.head_finder
    python -m analyses.head_finder --model compiled:direct
    python -m analyses.head_finder --lists 96 --ablation mean

One head at a time is ablated at all positions, in three ways, and the model answers along the right
answer: with the list 3 1 1, head 1.2 writes what it wrote for another list of three digits, say
7 0 4, and the log-probability of 1, 1, 3 is compared with that before. Its own output put back is
the control, and must cost nothing. What each kind can mislead about:

- *resample* (another list's output of the length; Chan et al. 2022) keeps every output one that the
  head really writes, and costs nothing where outputs do not depend on the list. It may cost
  something where the answer could do without the head, but is misled by another list's facts;
- *mean* (over other lists of the length, position by position) takes away what is special to the
  list and misleads less, but a mean of ten one-hot digits is nothing that the next layer ever saw,
  and for long lists it is itself a fair guess: sorted[20] of 40 digits is mostly a 4 or 5;
- *zero* takes away constants as well: a head that writes the same for every list, as a bias would,
  can be indispensable by zero ablation and carry nothing.

So a head is *named* when the log-probability lost under resampling (``ablation`` chooses another)
lies above ``threshold`` with its whole interval. Because heads can stand in for each other, the
named heads are then resampled together, so are all others, and so are those of each layer: if lists
do not survive without the others, there is more to the answer than the named heads.

What it does not show: what a head does, or through which positions. Patterns are ranked as well, to
be compared: a head may look at the most interesting place and write nothing (``compiled:direct``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from analyses.attention_patterns.body import label
from analyses.common import Analysis, CommonArgs, run_analysis
from interp.support.errors import UserError, at_least
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.answers.trials import Condition, Trials
    from interp.methods.attention import AttentionStats
    from interp.methods.heads import Head
    from interp.model import SortTransformer
    from interp.stats import Estimate

Kind = Literal["resample", "mean", "zero"]
KINDS: tuple[str, ...] = get_args(Kind)
NAMED, OTHERS = "the named heads", "all other heads"


@dataclass(frozen=True)
class HeadConfig:
    """How many lists, and when a head is named."""

    lists: int = 288  # held-out lists to ablate on: six of every length up to 48
    reference: int = 32  # other lists of every length, for means
    length: int = 24  # of the lists whose patterns are ranked, or the longest that the model takes
    pattern_lists: int = 96  # how many those are
    ablation: Kind = "resample"  # by which heads are named: see the module for why
    threshold: float = 0.05  # nats per digit: a list of 24 digits is then 3.3 times less probable

    def __post_init__(self) -> None:
        at_least(self, lists=1, reference=1, length=1, pattern_lists=2)
        if self.ablation not in KINDS:
            raise UserError(f"--ablation must be one of {', '.join(KINDS)}, not {self.ablation!r}")
        if not self.threshold >= 0:
            raise UserError(f"--threshold must be 0 or more, not {self.threshold}")


@dataclass(frozen=True)
class HeadResult:
    """Answers under every ablation list by list, and the patterns' statistics."""

    trials: Trials
    """``as it is``, and ``KIND: LAYER.HEAD`` with KIND of ``KINDS`` or the control, ``own``."""
    joint: Trials
    """On the same lists, several heads resampled at once: the named, all others, each layer's."""
    stats: AttentionStats
    config: HeadConfig

    @property
    def heads(self) -> list[Head]:
        return self.stats.heads

    def effect(self, kind: str, head: Head) -> Estimate:
        """Log-probability of the right digits that an ablation loses, in nats per digit."""
        return self._effects[kind, head]

    @cached_property
    def _effects(self) -> dict[tuple[str, Head], Estimate]:
        pairs = [(kind, head) for kind in (*KINDS, "own") for head in self.heads]
        return {pair: _effect(self.trials, *pair) for pair in pairs}

    def exact_lost(self, kind: str, head: Head) -> Estimate:
        """Share of lists that an ablation makes wrong, less those that it makes right."""
        from interp.methods.heads import exact_lost

        return exact_lost(self.trials, _condition(kind, head))

    @cached_property
    def named(self) -> list[Head]:
        """Heads that carry the answer, by the rule of the config; the most costly first."""
        return _named(self.trials, self.heads, self.config)


def compute(
    model: SortTransformer,
    config: HeadConfig = HeadConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> HeadResult:
    """Ablate every head by itself, then the named ones and the others together."""
    import torch

    from interp.answers.trials import donors_for, nothing, run_trials
    from interp.methods.attention import attention_stats
    from interp.methods.heads import AS_IT_IS, HeadOutputs
    from interp.support.seeds import stream

    task, device = model.task, model.W_U.device
    lengths = torch.full((config.pattern_lists,), min(config.length, task.max_len))
    lists = task.sample(config.pattern_lists, stream("patterns", seed), lengths).to(device)
    stats = attention_stats(model, lists, seed)
    batch = task.held_out(config.lists, seed).to(device)
    outputs = HeadOutputs(donors_for(model, batch, seed), config.reference, seed)

    def run(groups: dict[str, tuple[str, list[Head]]], words: str) -> Trials:
        conditions: dict[str, Condition] = {AS_IT_IS: nothing}
        conditions |= {name: partial(outputs.ablate, *group) for name, group in groups.items()}
        return run_trials(model, batch, conditions, seed=seed, progress=progress, words=words)

    single = {
        _condition(kind, head): (kind, [head]) for head in stats.heads for kind in (*KINDS, "own")
    }
    trials = run(single, "each head")
    named = _named(trials, stats.heads, config)
    together = {NAMED: named, OTHERS: [head for head in stats.heads if head not in named]}
    for layer in range(model.cfg.n_layers):
        together[_layer(layer)] = [head for head in stats.heads if head[0] == layer]
    joint = run({name: ("resample", heads) for name, heads in together.items()}, "heads together")
    return HeadResult(trials, joint, stats, config)


def _condition(kind: str, head: Head) -> str:
    return f"{kind}: {label(head)}"


def _layer(layer: int) -> str:
    return f"all heads of layer {layer}"


def _effect(trials: Trials, kind: str, head: Head) -> Estimate:
    from interp.methods.heads import log_prob_lost
    from interp.stats import bootstrap_mean

    return bootstrap_mean(log_prob_lost(trials, _condition(kind, head)), trials.seed)


def _named(trials: Trials, heads: Sequence[Head], config: HeadConfig) -> list[Head]:
    effects = {head: _effect(trials, config.ablation, head) for head in heads}
    above = [head for head in heads if effects[head].low > config.threshold]
    return sorted(above, key=lambda head: -effects[head].value)


# -- words and JSON -----------------------------------------------------------------------------

_CONSPICUOUS = 0.1  # below this not even the first head of a ranking has the pattern


def on_top(result: HeadResult) -> dict[str, tuple[Head, float]]:
    """For each score of a pattern the first head and its score, where it has the pattern at all."""
    from interp.methods.heads import pattern_ranks

    ranks = pattern_ranks(result.stats)
    return {name: ranks[name][0] for name in ranks if ranks[name][0][1] >= _CONSPICUOUS}


def verdicts(result: HeadResult) -> dict[str, Any]:
    """The named heads; for comparison, those that some pattern score alone would have named."""
    by_pattern = sorted({head for head, _ in on_top(result).values()})
    return {
        "heads": sorted([*head] for head in result.named),
        "by_pattern": [[*head] for head in by_pattern],
        "control_costs_nothing": all(
            abs(result.effect("own", head).value) < _ROUNDING for head in result.heads
        ),
    }


_ROUNDING = 1e-5  # nats: "as it is" may be computed in matrices of other sizes


def nats(estimate: Estimate) -> str:
    """``0.314 [0.242, 0.395]``"""
    value, low, high = (round(x, 3) + 0.0 for x in (estimate.value, estimate.low, estimate.high))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def summary(result: HeadResult) -> list[str]:
    """Every head's cost, the conspicuous patterns, several heads together, and the finding."""
    from interp.methods.heads import AS_IT_IS

    by = result.config.ablation
    plain = result.joint.exact_match(AS_IT_IS)
    heads = sorted(result.heads, key=lambda head: -result.effect(by, head).value)
    lines = [
        f"{plain.n} held-out lists, {plain.percent()} sorted without a mistake.",
        f"Nats per right digit that ablating a head loses, most costly by {by} first:",
    ]
    for head in heads:
        costs = "; ".join(f"{kind} {nats(result.effect(kind, head))}" for kind in KINDS)
        lost = result.exact_lost(by, head).percent()
        lines.append(f"  head {label(head)}: {costs}; lists lost by {by} {lost}")
    lines.append("Most conspicuous patterns at the answer rows, and whether the head is named:")
    for name, (head, score) in on_top(result).items():
        said = "named" if head in result.named else f"not named, {by} {_cost(result, head)}"
        lines.append(f"  {name}: head {label(head)}, {score:.2f} ({said})")
    conspicuous = {head for head, _ in on_top(result).values()}
    wrong = len(conspicuous - set(result.named))
    lines.append(f"  By patterns alone: {len(conspicuous)} heads, of which {wrong} not named.")
    together = ", ".join(
        f"{name} {result.joint.exact_match(name).percent()}"
        for name in result.joint.names
        if name != AS_IT_IS
    )
    lines.append(f"Lists still exact with several heads resampled at once: {together}.")
    return [*lines, _finding(result, plain)]


def _cost(result: HeadResult, head: Head) -> str:
    return f"{nats(result.effect(result.config.ablation, head))} nats"


def _finding(result: HeadResult, plain: Estimate) -> str:
    if plain.value < 0.05:
        return (
            f"The model hardly sorts at all ({plain.percent()} of lists, n = {plain.n}), "
            "so no head carries an answer."
        )
    if not result.named:
        return f"No head carries the answer by itself (n = {plain.n} lists)."
    found = ", ".join(f"{label(head)} ({_cost(result, head)})" for head in result.named)
    one = len(result.named) == 1
    others = result.joint.exact_match(OTHERS)
    enough = others.low > 0.9 * plain.value
    rest = "and needs no other" if enough else f"but not by {'it' if one else 'them'} alone"
    return (
        f"The answer is carried by {'head' if one else 'heads'} {found}, {rest}: with all others "
        f"resampled at once {others.percent()} of lists stay exact (n = {others.n})."
    )


def to_json(result: HeadResult) -> dict[str, Any]:
    """Every effect with its interval, the rankings, and what ablating together leaves."""
    from interp.methods.heads import pattern_ranks

    ranks = pattern_ranks(result.stats)
    return {
        "heads": [
            {
                "layer": head[0],
                "head": head[1],
                "named": head in result.named,
                **{
                    kind: {
                        "log_prob_lost": result.effect(kind, head).to_dict(),
                        "exact_lost": result.exact_lost(kind, head).to_dict(),
                    }
                    for kind in (*KINDS, "own")
                },
            }
            for head in result.heads
        ],
        "together": {n: result.joint.exact_match(n).to_dict() for n in result.joint.names},
        "by_pattern": {
            name: [{"layer": h[0], "head": h[1], "score": score} for h, score in ranked]
            for name, ranked in ranks.items()
        },
        "verdicts": verdicts(result),
    }


# -- command line -------------------------------------------------------------------------------


def figure(result: HeadResult) -> go.Figure:
    """See :func:`analyses.head_finder.figure.figure`."""
    from analyses.head_finder import figure as head_figure

    return head_figure.figure(result)


ANALYSIS = Analysis(
    name="head_finder",
    title="Which heads carry the answer",
    config=HeadConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
    needs_blanks=False,
)


@dataclass(frozen=True)
class HeadArgs(CommonArgs):
    """Rank the heads by what ablating them costs, and by where they look."""

    config: HeadConfig = HeadConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_analysis(ANALYSIS, HeadArgs, argv)


if __name__ == "__main__":
    main()
