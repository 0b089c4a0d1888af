"""What ``analyses.attribution`` finds, with its example axes, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float

from interp.methods.agreement import Agreement, agreement
from interp.methods.attribution import Part
from interp.methods.attribution_patching import METHODS
from interp.methods.pair_runs import DIRECTIONS
from interp.sites import Component, Site
from interp.stats import Estimate, bootstrap_mean
from interp.task import Region, Task

SOURCES = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
"""Where heads read; ``blanks`` are all but the last."""


@dataclass(frozen=True)
class DirectResult:
    """Direct logit attribution, in logits; NaN past the end of a list."""

    parts: tuple[Part, ...]
    values: Float[torch.Tensor, "list output part"]
    total: Float[torch.Tensor, "list output"]
    """The sorted digit's logit minus the mean of the nine others'."""
    heads: tuple[Part, ...]
    by_source: Float[torch.Tensor, "list head source"]
    """Mean over a list's outputs, by the region of ``SOURCES`` that is read."""
    error: float
    """The largest difference between the sum of the parts and the logits."""

    def mean_part(self, number: int, seed: int) -> Estimate:
        """What a part adds at the mean output row, with its interval over lists."""
        return bootstrap_mean(_known(self.values[:, :, number].nanmean(1)), seed)

    def mean_total(self, seed: int) -> Estimate:
        """The logit difference that the parts sum to."""
        return bootstrap_mean(_known(self.total.nanmean(1)), seed)


@dataclass(frozen=True)
class PatchingResult:
    """Guessed and exact effects of patching one position, in logits."""

    sites: list[Site]
    labels: list[str]
    """Of the positions."""
    blanks: Bool[torch.Tensor, " here"]
    """Positions that are blanks, all but the last."""
    guessed: Float[torch.Tensor, "method direction pair site here"]
    exact: Float[torch.Tensor, "direction pair site here"]
    possible: Bool[torch.Tensor, "direction pair site here"]
    """Where causality and the difference of the runs allow an effect; only these are compared."""
    gap: Float[torch.Tensor, "direction pair"]
    """The whole effect."""
    understood: Bool[torch.Tensor, " pair"]
    """Pairs of which the model gets both answers right."""

    @property
    def last_stream(self) -> int:
        """Number of the site that holds all that the last layer reads."""
        return self.sites.index(Site(Component.RESID_PRE, self.sites[-1].layer))


@dataclass(frozen=True)
class AttributionResult:
    """Both halves."""

    direct: DirectResult
    patching: PatchingResult
    length: int
    """Digits per list of the pairs."""
    task: Task
    seed: int

    def part(self, number: int) -> Estimate:
        """What a part adds at the mean output row, with its interval over lists."""
        return self.direct.mean_part(number, self.seed)

    def total(self) -> Estimate:
        """The logit difference that the parts sum to."""
        return self.direct.mean_total(self.seed)

    def source(self, head: int, source: int) -> Estimate:
        """What a head adds from one region."""
        return bootstrap_mean(_known(self.direct.by_source[:, head, source]), self.seed)

    def agreement(self, method: str, direction: int, site: int | None = None) -> Agreement:
        """Of guesses with exact effects, at one site or at all of them."""
        which = slice(None) if site is None else slice(site, site + 1)
        found = self.patching
        return agreement(
            found.guessed[METHODS.index(method), direction][:, which],
            found.exact[direction][:, which],
            found.possible[direction][:, which],
            self.seed,
        )

    def blanks_carry(self, method: str, direction: int) -> Estimate | None:
        """Share of the whole effect that blanks carry into the last layer, summed over them.

        ``method`` may be ``exact``. None where no pair is understood, or there are no blanks.
        """
        found = self.patching
        every = found.exact if method == "exact" else found.guessed[METHODS.index(method)]
        effects = every[direction, :, found.last_stream]
        return share_of_blanks(
            effects, found.blanks, found.gap[direction], found.understood, self.seed
        )


def _known(values: Float[torch.Tensor, " n"]) -> Float[torch.Tensor, " some"]:
    """Those of lists whose answer holds a symbol: an empty one, SEP alone, has nothing to share."""
    return values[~values.isnan()]


def share_of_blanks(
    effects: Float[torch.Tensor, "pair here"],
    blanks: Bool[torch.Tensor, " here"],
    gap: Float[torch.Tensor, " pair"],
    understood: Bool[torch.Tensor, " pair"],
    seed: int,
) -> Estimate | None:
    """Of the whole effect, what goes through the blanks; None if there are none, or no such pair.

    Args:
        effects: of patching each position of what the last layer reads.
    """
    if not understood.any() or not blanks.any():
        return None
    return bootstrap_mean((effects[:, blanks].sum(1) / gap)[understood], seed)


# -- JSON ---------------------------------------------------------------------------------------


def as_json(result: AttributionResult) -> dict[str, Any]:
    """Every part and every agreement, with intervals."""
    direct, found = result.direct, result.patching
    return {
        "lists": len(direct.total),
        "logit_difference": result.total().to_dict(),
        "sum_error": direct.error,
        "parts": [
            {"part": part.words, **result.part(n).to_dict()} for n, part in enumerate(direct.parts)
        ],
        "heads_by_source": [
            {"part": head.words, "source": source.value, **result.source(h, s).to_dict()}
            for h, head in enumerate(direct.heads)
            for s, source in enumerate(SOURCES)
        ],
        "pairs": len(found.understood),
        "pairs_understood": int(found.understood.sum()),
        "length": result.length,
        "agreement": [
            _agreement_json(result, method, number, which)
            for method in METHODS
            for number in range(len(DIRECTIONS))
            for which in (None, *range(len(found.sites)))
        ],
        "blanks_carry": {
            method: {
                direction: _or_none(result.blanks_carry(method, number))
                for number, direction in enumerate(DIRECTIONS)
            }
            for method in ("exact", *METHODS)
        },
    }


def _agreement_json(
    result: AttributionResult, method: str, direction: int, site: int | None
) -> dict[str, Any]:
    found = result.agreement(method, direction, site)
    return {
        "method": method,
        "direction": DIRECTIONS[direction],
        "site": "all" if site is None else result.patching.sites[site].words,
        **{name: _or_none(getattr(found, name)) for name in ("rank", "linear", "recovered")},
    }


def _or_none(estimate: Estimate | None) -> dict[str, Any] | None:
    return estimate.to_dict() if estimate else None
