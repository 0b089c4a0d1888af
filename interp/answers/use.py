"""What a model makes of its blanks, in the numbers that every study keeps of every run.

    follow_rate(model, pairs=144, seed=1)             # do outputs follow another list's blanks?
    exact_without_blanks(model, lists=144, seed=1)    # what survives when they are ablated

The same numbers as ``analyses.transplant_blanks`` and ``analyses.ablate_blanks`` give among others.
"""

from __future__ import annotations

from functools import partial

from interp.answers.ablation import Kind, ablate
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.answers.trials import donors_for, run_trials, sorted_digits
from interp.stats import Estimate, clustered_rate
from interp.task import Region
from interp.transformer import Transformer


def follow_rate(model: Transformer, pairs: int, seed: int) -> Estimate | None:
    """The share of outputs that follow the other list when the blanks are its own.

    Layers from 1 on are given the keys and values of its blanks, all but the last one. None for a
    single blank, which answers itself, or where no two answers differ.

    Args:
        pairs: of lists of equal length; only outputs in which their answers differ count.
        seed: of the lists.
    """
    task = model.task
    if task.n_blanks < 2 or model.config.n_layers < 2:
        return None
    own = task.held_out(pairs, seed).to(model.W_U.device)
    other = donors_for(model, own, seed)
    transplant = Treatment(Act.TRANSPLANT, tuple(range(task.n_blanks - 1)))
    trials = run_trials(model, own, {"blanks": transplant.on}, donors=other, seed=seed)
    theirs = sorted_digits(task, other).cpu()
    differ = (theirs != trials.answers) & trials.scored
    if not differ.any():
        return None
    return clustered_rate(trials.of("blanks") == theirs, differ, seed)


def exact_without_blanks(model: Transformer, lists: int, seed: int) -> dict[Kind, Estimate]:
    """Exact match on held-out lists when all blanks are ablated, in every way there is."""
    task = model.task
    blanks = (*task.region(Region.BLANKS), *task.region(Region.LAST_BLANK))
    batch = task.held_out(lists, seed).to(model.W_U.device)
    conditions = {kind.value: partial(ablate, kind, positions=blanks) for kind in Kind}
    donors = donors_for(model, batch, seed)
    trials = run_trials(model, batch, conditions, donors=donors, seed=seed)
    return {kind: trials.exact_match(kind.value) for kind in Kind}
