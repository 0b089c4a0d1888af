"""The map that ``analyses.one_list.patch`` finds: what each place carries between two lists."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float

from analyses.one_list.patch import ROWS, Direction, Method, Rows
from interp.answers.pairs import Pairs
from interp.config import ModelConfig
from interp.sites import Component, Site, all_sites, head_name, place_name
from interp.task import Region

_SHORT = {
    Component.Z: "output",
    Component.Q: "queries",
    Component.K: "keys",
    Component.V: "values",
}
FAINTEST = 0.05  # the colours reach to the largest share, but never blow up mere noise


@dataclass(frozen=True)
class PatchMap:
    """What each place carries between two lists, in one direction."""

    pairs: Pairs
    """One pair."""
    direction: Direction
    method: Method
    sites: tuple[Site, ...]
    """Rows; their positions are the columns."""
    positions: range
    """Absolute, from the list's first digit to the position that is read."""
    effects: Float[torch.Tensor, "site position"]
    """Change of the logit difference, in logits."""
    possible: Bool[torch.Tensor, "site position"]
    """Where a patch alters anything that can be seen; all others are exactly 0."""
    difference: tuple[float, float]
    """Logit of the clean answer minus that of the corrupted one: in the clean run, and in the
    corrupted."""

    @property
    def understood(self) -> bool:
        """Whether the model prefers the right answer of the two in both runs; else there is no
        effect to share."""
        return self.difference[0] > 0 > self.difference[1]

    @property
    def shares(self) -> Float[torch.Tensor, "site position"]:
        """Effects as a share of the difference between the runs."""
        gap = self.difference[0] - self.difference[1]
        return self.effects / (gap if self.direction == "denoising" else -gap) + 0.0  # never -0

    @property
    def limit(self) -> float:
        """Where the colours end, on either side of zero."""
        return max(FAINTEST, float(self.shares.abs().max()))

    @property
    def labels(self) -> list[str]:
        """Of the columns: ``in 3``, ``SEP``, ``blank 4``, ``out 0``."""
        names = self.pairs.task.labels(self.pairs.length)
        return [names[position] for position in self.positions]

    @property
    def holds(self) -> list[str]:
        """What stands at each column, of both lists where that differs: ``in 3: 1``, ``SEP``."""
        named = (Region.DIGITS, Region.OUTPUTS)
        task, length = self.pairs.task, self.pairs.length
        tokens = [side[0].tolist() for side in (self.pairs.clean, self.pairs.corrupt)]

        def value(position: int) -> str:
            if task.region_of(position, length) not in named:
                return ""
            ours, theirs = (task.token_label(side[position]) for side in tokens)
            return f": {ours}" if ours == theirs else f": {ours}, corrupted {theirs}"

        return [name + value(p) for name, p in zip(self.labels, self.positions, strict=True)]

    @property
    def names(self) -> list[str]:
        """Of the rows."""
        return [short_name(site) for site in self.sites]

    @property
    def edges(self) -> list[int]:
        """Columns at which a new region begins."""
        later = (Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
        spans = (self.pairs.task.region(region, self.pairs.length) for region in later)
        return [s.start - self.positions[0] for s in spans if s and s.start in self.positions]


def short_name(site: Site) -> str:
    """For the rows of a map: ``before layer 0``, ``values 1 (all heads)``, ``values 1.2``."""
    if site.component in all_components("stream"):
        return place_name(site.component, site.layer)
    if site.heads is None:
        return f"{_SHORT[site.component]} {site.layer} (all heads)"
    return f"{_SHORT[site.component]} {head_name((site.layer, site.heads[0]))}"


def all_components(rows: Rows) -> tuple[Component, ...]:
    """The components that are the rows of a map."""
    if rows == "stream":
        return (Component.RESID_PRE, Component.ATTN_OUT, Component.MLP_OUT)
    return (Component(rows),)


def rows_of(component: Component) -> Rows:
    """The map that a component is in."""
    return next(rows for rows in ROWS if component in all_components(rows))


def map_sites(config: ModelConfig, rows: Rows) -> tuple[Site, ...]:
    """The rows of a map, in the order in which a forward pass reaches them."""
    if rows == "stream":
        return tuple(all_sites(config.n_layers))
    heads = [None, *((head,) for head in range(config.n_heads))]
    return tuple(
        Site(Component(rows), layer, head) for layer in range(config.n_layers) for head in heads
    )
