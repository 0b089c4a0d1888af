"""What ``analyses.heads.head_finder`` finds: the cost of every ablation, and who is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from analyses.heads.head_finder import HeadConfig
from interp.answers.trials import Trials
from interp.methods.attention import AttentionStats
from interp.methods.heads import (
    KINDS,
    Head,
    exact_lost,
    log_prob_lost,
)
from interp.rule import Rule
from interp.sites import head_name
from interp.stats import Estimate, bootstrap_mean


@dataclass(frozen=True)
class HeadResult:
    """Answers under every ablation list by list, and the patterns' statistics."""

    trials: Trials
    """``as it is``, and ``KIND: LAYER.HEAD`` with KIND of ``interp.methods.heads.KINDS``."""
    joint: Trials
    """On the same lists, several heads resampled at once: the named, all others, each layer's."""
    stats: AttentionStats
    config: HeadConfig

    @property
    def heads(self) -> list[Head]:
        return self.stats.heads

    @property
    def rule(self) -> Rule:
        return self.stats.task.rule

    def effect(self, kind: str, head: Head) -> Estimate:
        """Log-probability of the right digits that an ablation loses, in nats per digit."""
        return self._effects[kind, head]

    @cached_property
    def _effects(self) -> dict[tuple[str, Head], Estimate]:
        pairs = [(kind, head) for kind in KINDS for head in self.heads]
        return {pair: _effect(self.trials, *pair) for pair in pairs}

    def exact_lost(self, kind: str, head: Head) -> Estimate:
        """Share of lists that an ablation makes wrong, less those that it makes right."""
        return exact_lost(self.trials, condition(kind, head))

    @cached_property
    def named(self) -> list[Head]:
        """Heads that carry the answer, by the rule of the config; the most costly first."""
        return named_heads(self.trials, self.heads, self.config)


def condition(kind: str, head: Head) -> str:
    return f"{kind}: {head_name(head)}"


def _effect(trials: Trials, kind: str, head: Head) -> Estimate:
    return bootstrap_mean(log_prob_lost(trials, condition(kind, head)), trials.seed)


def named_heads(trials: Trials, heads: Sequence[Head], config: HeadConfig) -> list[Head]:
    effects = {head: _effect(trials, config.ablation, head) for head in heads}
    above = [head for head in heads if effects[head].low > config.threshold]
    return sorted(above, key=lambda head: -effects[head].value)


def nats(estimate: Estimate) -> str:
    """``0.314 [0.242, 0.395]``"""
    value, low, high = (round(x, 3) + 0.0 for x in (estimate.value, estimate.low, estimate.high))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
