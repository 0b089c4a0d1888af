"""Attribution patching: activation patching for all places at once, by gradients.

    runs = pair_runs(model, pairs, "denoising")
    exact = exact_effects(runs, sites)                          # [pair, site, here], the sweep
    guessed = attributed_effects(runs, sites, "gradient")       # [pair, site, here]
    agreement(guessed, exact, possible_effects(runs, sites))    # of interp.methods.agreement

Putting the activation of a donor run into a base run changes a logit difference. To first order
that is (donor - base) . gradient, at every place from one backward pass (Nanda 2023; Syed et al.
2023). The *metric* is the logit of the clean answer minus that of the corrupted one; an effect is
the metric after the patch minus before, in logits. Denoising puts clean into corrupted.

Three approximations, by where the gradient is taken:

- ``gradient``: at the base run. Wrong where the model is not linear between the two: a saturated
  softmax or a closed ReLU has no gradient, however much the whole patch would change.
- ``integrated``: the mean gradient over the straight line between the two runs' activations *at the
  site*, all of its positions (and heads) moved together; midpoint rule (Sundararajan et al. 2017;
  Hanna et al. 2024 call it EAP-IG activations). Its sum over positions (and heads) is the effect of
  patching the whole site, exactly but for the rule's error; how it is shared out is not exact.
- ``integrated inputs``: the mean gradient while the *embeddings* move from one run to the other,
  everything after them following (EAP-IG inputs). Cheaper: one set of passes for all sites.

None of them is a measurement: always look at the agreement with the exact sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.interventions import Set, edits_of
from interp.methods.pair_runs import PairRuns
from interp.methods.patching import patched_logits
from interp.passes.forward import Place, forward, frame
from interp.sites import PER_HEAD, Component, Frame, Site
from interp.support.progress import SILENT, Progress

Method = Literal["gradient", "integrated", "integrated inputs"]
"""Where the gradient is taken; see the module."""
METHODS: tuple[Method, ...] = get_args(Method)

INPUTS: Place = (Component.RESID_PRE, 0)
STEPS = 16  # points of the line


def places_of(sites: Iterable[Site]) -> list[Place]:
    """The components and layers of some sites, each once."""
    return list(dict.fromkeys((site.component, site.layer) for site in sites))


# -- the exact sweep ----------------------------------------------------------------------------


def exact_effects(
    runs: PairRuns, sites: Sequence[Site], progress: Progress = SILENT
) -> Float[Tensor, "pair site here"]:
    """Activation patching proper, one position at a time.

    Args:
        progress: a step is one position of one pair at one site.
    """
    before, size = runs.metric(runs.base), runs.view.stop - runs.view.start
    single = torch.eye(size, dtype=torch.bool, device=before.device).expand(len(before), size, size)
    effects = []
    for site in sites:
        logits = patched_logits(
            runs.model, site, runs.base, runs.donor, single, runs.rows, progress
        )
        effects.append(runs.difference(logits) - before[:, None])
    return torch.stack(effects, 1)


def possible_effects(runs: PairRuns, sites: Sequence[Site]) -> Bool[Tensor, "pair site here"]:
    """Where a patch could change anything: it alters something, and causality lets it be read.

    Everywhere else the exact effect is exactly 0, and so is every approximation: to count those
    places would flatter the agreement of the two.
    """
    view, n_layers = runs.view, runs.model.cfg.n_layers
    here, rows = torch.arange(view.stop - view.start, device=runs.rows.device), runs.rows[:, None]
    found = []
    for site in sites:
        altered = runs.change((site.component, site.layer)) != 0
        if site.component in PER_HEAD:
            altered = altered[..., _heads(site), :].any(-1)
        last_write = frame(view, n_layers, site.component, site.layer).position > view.start
        read = here == rows if last_write else here <= rows
        found.append(read & altered.any(-1))
    return torch.stack(found, 1)


# -- the approximations -------------------------------------------------------------------------


def attributed_effects(
    runs: PairRuns, sites: Sequence[Site], method: Method, steps: int = STEPS
) -> Float[Tensor, "pair site here"]:
    """(donor - base) . gradient, summed over the site's coordinates at each position.

    Args:
        steps: points of the line; the plain ``gradient`` has one, the base run.
    """
    places = places_of(sites)
    alphas = [0.0] if method == "gradient" else [(k + 0.5) / steps for k in range(steps)]
    if method == "integrated":
        slopes = {
            place: _mean([_gradients(runs, place, a, [place])[place] for a in alphas])
            for place in places
        }
    else:
        along = [_gradients(runs, INPUTS, a, places) for a in alphas]
        slopes = {place: _mean([each[place] for each in along]) for place in places}
    shares = {place: (runs.change(place) * slopes[place]).sum(-1) for place in places}
    return torch.stack([_of_site(shares, site) for site in sites], 1)


def _gradients(
    runs: PairRuns, moved: Place, alpha: float, wanted: Sequence[Place]
) -> Mapping[Place, Tensor]:
    """Of the metric by what ``wanted`` places hold, ``moved`` being ``alpha`` of the way over."""
    # Kept neurons are made by plain products, whose backward pass skips the weights' gradients.
    hidden = [(Component.NEURONS, layer) for layer in range(runs.model.cfg.n_layers)]
    n_here = runs.base.at(*moved).shape[1]
    held = runs.base.at(*moved) + alpha * runs.change(moved)
    start = frame(runs.view, runs.model.cfg.n_layers, *moved).position
    with torch.enable_grad():
        leaf = held[:, start - runs.view.start :].detach().requires_grad_()
        edits = edits_of(runs.model, [Set(Site(*moved), leaf, Frame(start))])
        keep = [*wanted, *hidden]
        run = forward(runs.model, runs.tokens, runs.view, edits, keep=keep, base=runs.base)
        inputs = [run.at(*place) for place in wanted]
        grads = torch.autograd.grad(runs.metric(run).sum(), inputs)
    # In the last layer, positions before the output rows are not read, so their gradient is 0.
    return {place: _widened(grad, n_here) for place, grad in zip(wanted, grads, strict=True)}


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0)


def _of_site(shares: Mapping[Place, Tensor], site: Site) -> Tensor:
    share = shares[site.component, site.layer]
    return share[..., _heads(site)].sum(-1) if site.component in PER_HEAD else share


def _heads(site: Site) -> slice | list[int]:
    return slice(None) if site.heads is None else list(site.heads)


def _widened(value: Tensor, size: int) -> Tensor:
    """[pair, size, ...] from one that lacks the first positions, which are then 0."""
    missing = size - value.shape[1]
    return torch.cat([value.new_zeros(len(value), missing, *value.shape[2:]), value], 1)
