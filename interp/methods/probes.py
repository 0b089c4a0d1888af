"""Linear probes at the blanks: what could be read there, and what that is worth.

    lists = probing_lists(model.task, 2400, seed=0)
    found = probe(model, lists, probed_blanks(model.task, 12), seed=0)
    found.score("sorted", Kind.TRAINED, found.key_site)     # accuracy, with its interval
    found.skill("counts", found.key_site)                   # beyond what the length tells

A probe is a linear function of a blank's residual stream, fitted on some lists and scored on others
(Alain & Bengio 2016). At blank j of a list longer than j it must tell *sorted[j]* (multinomial
logistic regression, scored by accuracy), the *counts* C(<=v) of digits up to v, and the *length*
(ridge regression, scored by R2). A score says little by itself, so three others stand beside it:

- the *baseline* is the best guess from j and the length alone: sorted[40] of a list of 45 is mostly
  a 9. It is known exactly, as digits are uniform and independent.
- the *control task* (Hewitt & Liang 2019) asks the same probe for arbitrary labels. They labelled
  each type of word at random, and words occur again in held-out text; lists hardly do, so labels
  by list would measure the split and nothing else. Types are here pairs of the true label and the
  list's last digit, which occur again: each gets a label drawn from the true ones, so as many and
  as frequent. *Selectivity* is the score minus that of the control task.
- the *untrained* twin has the same architecture and random weights. Random attention averages
  over digits, so that much can be read from it: what training put there is what is beyond it.
  There is one twin: intervals are over lists, and not over other random weights.

A probe never shows that what it reads is used.

Shape glossary: ``target`` of ``ProbeSet.targets``, ``kind`` of ``Kind``, ``site`` a stream,
``list`` held-out lists, ``blank`` those that are probed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.methods.probe_fits import Cell, Kind, held_out, targets_of
from interp.passes.forward import forward, streams_before
from interp.passes.packed import Window, parts_of
from interp.passes.untouched import touch
from interp.sites import Component, Site
from interp.stats import Estimate, bootstrap_mean, clustered_rate, wilson
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.support.seeds import stream
from interp.task import SortBatch, SortTask
from interp.transformer import Transformer

GROUPS = ("sorted", "counts", "length")
"""What is asked, the counts together."""
_FEWEST = 10  # lists to fit a probe on; a blank with fewer is not probed
_LISTS_AT_ONCE = 32  # small enough for the activations to stay in the processor's cache


@dataclass(frozen=True)
class ProbeSet:
    """Errors of every probe on every held-out list."""

    task: SortTask
    errors: Float[Tensor, "target kind site list blank"]
    """Of sorted[j]: 1 where wrong, else 0. Of the others: squared, as a share of the variance of
    what was to be told. NaN where a list has no sorted[j], and where there is nothing to tell."""
    fitted: Int[Tensor, " blank"]
    """Lists that each blank's probes were fitted on."""
    sites: tuple[Site, ...]
    blanks: tuple[int, ...]
    seed: int
    """Of bootstrap intervals."""

    @property
    def key_site(self) -> Site:
        """What the last layer reads at the blanks: all that can reach an answer through them."""
        return next(s for s in reversed(self.sites) if s.component is Component.RESID_PRE)

    @property
    def targets(self) -> tuple[str, ...]:
        """What is asked."""
        return targets_of(self.task)

    @property
    def counts(self) -> tuple[str, ...]:
        """Of ``targets`` the counts."""
        return self.targets[1:-1]

    def scores(self, what: str, kind: Kind, site: Site) -> Float[Tensor, "list blank"]:
        """1 - error: the mean over lists is the accuracy, or R2. NaN where absent.

        Args:
            what: of ``targets``, or ``counts``: the mean over all of them.
        """
        asked = self.counts if what == "counts" else (what,)
        rows = [self.targets.index(one) for one in asked]
        errors = self.errors[rows, list(Kind).index(kind), self.sites.index(site)]
        return (1 - errors).nanmean(0)

    def score(self, what: str, kind: Kind, site: Site, blank: int | None = None) -> Estimate | None:
        """Accuracy or R2 at a blank, or its mean over all blanks. None where absent.

        Of one blank's accuracy the interval is Wilson's, of others a bootstrap over lists.
        """
        asked = (what, kind, site, blank)
        if asked not in self._known:
            self._known[asked] = self._score(*asked)
        return self._known[asked]

    @cached_property
    def _known(self) -> dict[tuple[str, Kind, Site, int | None], Estimate | None]:
        """Scores asked for before: words, JSON and figure ask for the same ones."""
        return {}

    def _score(self, what: str, kind: Kind, site: Site, blank: int | None) -> Estimate | None:
        values = self._by_list(self.scores(what, kind, site), blank)
        if what == "sorted" and blank is not None and len(values):
            return wilson(int(values.sum()), len(values))
        if what == "sorted" and len(values) and values.unique().tolist() in ([0.0], [1.0]):
            return clustered_rate(values[:, None] == 1, torch.ones(len(values), 1) > 0, self.seed)
        return bootstrap_mean(values, self.seed) if len(values) else None

    def beyond(
        self, what: str, other: Kind, site: Site, blank: int | None = None
    ) -> Estimate | None:
        """The model's score minus another, list by list: of the control task, the selectivity."""
        values = self.scores(what, Kind.TRAINED, site) - self.scores(what, other, site)
        values = self._by_list(values, blank)
        return bootstrap_mean(values, self.seed) if len(values) else None

    def skill(self, what: str, site: Site, kind: Kind = Kind.TRAINED) -> Estimate | None:
        """The share of the baseline's error that a probe removes: 0 as the baseline, 1 all of it.

        Both errors are means over blanks, and the baseline's is taken as known. None if it is 0.
        """
        left = self._by_list(1 - self.scores(what, Kind.BASELINE, site), None)
        wrong = self._by_list(1 - self.scores(what, kind, site), None)
        if not len(left) or float(left.mean()) <= 0:
            return None
        return bootstrap_mean(1 - wrong / left.mean(), self.seed)

    def readable(self, what: str, site: Site, least: float) -> bool:
        """Whether the model is to be credited with holding something in linear form.

        The probe removes at least the share ``least`` of the baseline's error, and scores above the
        control task and above the untrained twin; each with the low end of its 95 % interval.
        """
        skill = self.skill(what, site)
        others = [self.beyond(what, kind, site) for kind in (Kind.CONTROL, Kind.UNTRAINED)]
        enough = skill is not None and skill.low >= least
        return enough and all(above is not None and above.low > 0 for above in others)

    def _by_list(
        self, values: Float[Tensor, "list blank"], blank: int | None
    ) -> Float[Tensor, " some"]:
        """One number for each list that has any, whose mean is that over blanks of blank means.

        Lists are longer than some blanks' numbers only, so these are not a list's own means, which
        would overrate early blanks, but linearised: the mean plus what a list moves it by.
        """
        chosen = values if blank is None else values[:, [self.blanks.index(blank)]]
        chosen = chosen[:, ~chosen.isnan().all(0)]
        there = ~chosen.isnan()
        means = chosen.nanmean(0)
        some = there.any(1)
        weights = int(some.sum()) / (there.sum(0) * max(1, chosen.shape[1]))
        moved = ((chosen - means).nan_to_num() * weights).sum(1)
        return (means.mean() + moved)[some]


# -- lists and features -------------------------------------------------------------------------


def probing_lists(task: SortTask, n_lists: int, seed: int, length: int | None = None) -> SortBatch:
    """Random lists of one length, or of all: then long ones more often, so that late blanks have
    lists too (the chance of a length is proportional to it)."""
    generator = stream("probes", seed, length or 0)
    weights = torch.tensor(task.lengths).float()
    lengths = torch.multinomial(weights, n_lists, replacement=True, generator=generator)
    lengths = lengths + task.min_len
    if length is not None:
        lengths = torch.full((n_lists,), length)
    return task.sample(n_lists, generator, lengths)


def probed_blanks(task: SortTask, most: int) -> tuple[int, ...]:
    """At most so many blanks j, evenly spread, that a sorted[j] belongs to.

    The last blank, which is an output row too, is only taken if it is the only one.

    Raises:
        UserError: if there are no blanks.
    """
    if not task.n_blanks:
        raise UserError("there are no blanks to probe")
    n = max(1, min(task.n_blanks - 1, task.max_len))
    return tuple(range(0, n, -(-n // most)))


def probe_sites(n_layers: int) -> tuple[Site, ...]:
    """The residual stream before every layer, and after the last."""
    before = [Site(Component.RESID_PRE, layer) for layer in range(n_layers)]
    return (*before, Site(Component.RESID_POST, n_layers - 1))


class _ThroughBlanks(Window):
    """Positions up to the last blank: what comes later cannot be seen from there."""

    @property
    def stop(self) -> int:
        return self.task.first_output_row + 1


@torch.no_grad()
def blank_streams(
    model: Transformer, batch: SortBatch, blanks: Sequence[int], sites: Sequence[Site]
) -> Float[Tensor, "site list blank d_model"]:
    """The residual streams at some of ``probe_sites``, at some blanks."""
    positions = torch.tensor(blanks, device=batch.tokens.device) + model.task.sep_pos + 1
    # Lists of like lengths together, for less padding, unless something may act list by list.
    index: Sequence[Tensor] = batch.lengths.argsort(stable=True).split(_LISTS_AT_ONCE)
    if touch(model):
        index = tuple(parts_of(model, batch, _LISTS_AT_ONCE))
    parts = [_streams_at(model, batch[some], positions, sites) for some in index]
    return torch.cat(parts, 1)[:, torch.cat(tuple(index)).argsort().cpu()]


def _streams_at(
    model: Transformer, part: SortBatch, positions: Int[Tensor, " blank"], sites: Sequence[Site]
) -> Float[Tensor, "site list blank d_model"]:
    task = model.task
    if all(site.component is Component.RESID_PRE for site in sites):
        view = _ThroughBlanks(task, part.longest, task.first_output_row)
        before = streams_before(model, part.tokens, view, [site.layer for site in sites])
        return torch.stack([before[s.layer][:, positions - view.start] for s in sites]).cpu()
    # What the last layer writes is computed from the first blank on.
    view = _ThroughBlanks(task, part.longest, task.sep_pos)
    places = [(site.component, site.layer) for site in sites]
    run = forward(model, part.tokens, view, keep=places)
    at = [run.at(*place)[:, positions - run.frame(*place).position] for place in places]
    return torch.stack(at).cpu()


# -- fitting ------------------------------------------------------------------------------------


def _enough(batch: SortBatch, held: Bool[Tensor, " list"], j: int) -> bool:
    """Whether there are lists longer than j, to fit on and to score."""
    longer = batch.lengths.cpu() > j
    return int((longer & ~held).sum()) >= _FEWEST and int((longer & held).sum()) > 1


def probe(
    model: Transformer,
    batch: SortBatch,
    blanks: Sequence[int],
    seed: int = 0,
    progress: Progress = SILENT,
    words: str = "probes",
    sites: Sequence[Site] = (),
) -> ProbeSet:
    """Fit all probes of a model and of its untrained twin on two thirds of the lists.

    Args:
        sites: some of ``probe_sites`` (default: all of them), what the last layer reads among them.

    Raises:
        UserError: if too few lists are longer than any of the blanks' numbers.
    """
    from threadpoolctl import threadpool_limits

    from interp.model import SortTransformer

    held = held_out(batch, seed)
    cells = [Cell.of(model.task, batch, held, j, seed) for j in blanks if _enough(batch, held, j)]
    if not cells:
        raise UserError(f"{len(batch)} lists are too few to fit probes on some and test on others")
    kept = tuple(cell.j for cell in cells)
    progress.begin(len(cells) + 2, words)
    here, streams = batch.to(model.W_U.device), []
    sites = tuple(sites) or probe_sites(model.cfg.n_layers)
    for one in (model, SortTransformer(model.config, seed, model.W_U.device)):
        streams.append(blank_streams(one, here, kept, sites).double().numpy())
        progress.step()
    n_targets = len(targets_of(model.task))
    errors = np.full((n_targets, len(Kind), len(sites), len(batch), len(kept)), np.nan)
    with threadpool_limits(1), warnings.catch_warnings():  # threads slow small fits down
        warnings.filterwarnings("ignore", "lbfgs failed to converge")  # see probe_fits
        for b, cell in enumerate(cells):
            for s in range(len(sites)):
                found = cell.errors(*(one[s, :, b] for one in streams))
                errors[:, :, s, cell.test, b] = found
            progress.step()
    fitted = torch.tensor([len(cell.train) for cell in cells])
    scored = torch.from_numpy(errors[..., held.numpy(), :])
    return ProbeSet(model.task, scored, fitted, sites, kept, seed)
