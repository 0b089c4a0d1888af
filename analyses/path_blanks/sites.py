"""Places of ``analyses.path_blanks``: who writes what the blanks hold, who reads it, who cannot."""

from __future__ import annotations

from analyses.path_blanks.result import IMPOSSIBLE
from interp.sites import Component, Site
from interp.task import Region
from interp.transformer import Transformer

ALL = "all"


def impossible_sites(model: Transformer) -> dict[str, list[Site]]:
    """What is patched to see that it carries nothing."""
    task, last = model.task, model.config.n_layers - 1
    blanks = task.region(Region.BLANKS)
    written = (Component.ATTN_OUT, Component.MLP_OUT, Component.RESID_POST)
    own = (Component.RESID_PRE, Component.K, Component.V)
    places = ([(part, last) for part in written], [(part, 0) for part in own])
    sites = [[Site(*place, positions=blanks) for place in each] for each in places]
    return dict(zip(IMPOSSIBLE, sites, strict=True))


def writers_of(model: Transformer) -> dict[str, list[Site]]:
    """Who writes what the blanks hold when the last layer reads it; nobody if there is no blank
    but the last, or no layer but one."""
    blanks, config = model.task.region(Region.BLANKS), model.config
    writers: dict[str, list[Site]] = {}
    for layer in range(config.n_layers - 1 if blanks else 0):
        for head in range(config.n_heads):
            writers[f"head {layer}.{head}"] = [Site(Component.Z, layer, (head,), blanks)]
        writers[f"heads {layer}"] = [Site(Component.Z, layer, None, blanks)]
        writers[f"MLP {layer}"] = [Site(Component.MLP_OUT, layer, None, blanks)]
    if writers:
        writers[ALL] = [site for sites in writers.values() for site in sites]
    return writers


def readers_of(model: Transformer) -> dict[str, list[Site]]:
    """Who reads what the blanks hold: keys and values of each head, all keys, all values, all."""
    blanks, config = model.task.region(Region.BLANKS), model.config
    readers: dict[str, list[Site]] = {}
    layers = range(1, config.n_layers if blanks else 1)
    for layer in layers:
        for head in range(config.n_heads):
            parts = (Component.K, Component.V)
            readers[f"head {layer}.{head}"] = [Site(p, layer, (head,), blanks) for p in parts]
    if readers:
        keys = [Site(Component.K, layer, None, blanks) for layer in layers]
        values = [Site(Component.V, layer, None, blanks) for layer in layers]
        readers |= {"all keys": keys, "all values": values, ALL: keys + values}
    return readers
