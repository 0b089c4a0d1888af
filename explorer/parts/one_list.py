"""An experiment on the sidebar's list: computed once for all visitors, drawn, and to take along.

    show(view, glance.EXPERIMENT, GlanceSettings(layer, head), "attention", "where heads look.")

What is shown is kept by experiment, model, list, treatment and settings. The command beside the
figure is made from the same settings.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from analyses.experiment import Experiment, Outcome
from explorer.parts.controls import View
from explorer.parts.panel import About, panel
from explorer.server import results
from explorer.server.store import Store, computed, list_store
from interp.figures import copied
from interp.support.progress import SILENT, Progress
from interp.task import typed

T = TypeVar("T")
SEED = 0


def about_list(view: View, experiment: Experiment, settings: Any, seed: int = SEED) -> About:
    """What a figure of the sidebar's list, under its intervention, was made from."""
    digits = typed(view.digits or ())
    command = experiment.command(
        settings, model=view.opened.name, list=digits, do=view.treatment.text, seed=seed
    )
    return About(view.opened.name, view.opened.hash, digits, view.words, seed, command)


def outcome(view: View, experiment: Experiment, settings: Any, waiting: str = "") -> Outcome:
    """What an experiment finds of the list, which must be one that can be read.

    Args:
        waiting: what is being done, for people, where it takes long enough for a bar.

    Raises:
        UserError: if the experiment says nothing of this model, list or treatment.
    """
    subject = results.subject(view.opened, view.digits or (), view.treatment)
    result = kept(
        _key(view, experiment, settings),
        lambda progress: experiment.compute(subject, settings, SEED, progress),
        waiting,
    )
    return experiment.outcome(result)


def is_there(view: View, experiment: Experiment, settings: Any) -> bool:
    """Whether :func:`outcome` has it already."""
    return list_store().has(_key(view, experiment, settings))


def _key(view: View, experiment: Experiment, settings: Any) -> Hashable:
    return experiment.name, view.opened.hash, view.digits, view.treatment, settings, SEED


def show(
    view: View,
    experiment: Experiment,
    settings: Any,
    key: str,
    shows: str,
    proves_not: str = "",
    *,
    waiting: str = "",
    title: str = "",
) -> Outcome:
    """Draw it, with all that belongs beside it.

    Args:
        key: of the figure on the page, and the name of its files.
        proves_not: default: what the experiment says itself.
        title: of the figure, where it is not to be its own.
    """
    found = outcome(view, experiment, settings, waiting)
    figure = found.figure
    if title:
        figure = copied(figure).update_layout(title_text=title)
    of = about_list(view, experiment, settings)
    panel(figure, key, of, lambda: found.rows, shows, proves_not or experiment.caveat)
    return found


def kept(key: Hashable, compute: Callable[[Progress], T], waiting: str = "") -> T:
    """The result of that key, kept apart from those that take long, which are fewer.

    Args:
        key: everything that it depends on.
        waiting: as for :func:`outcome`.
    """
    where: Store = list_store()
    if waiting:
        return computed(key, compute, waiting, where)
    return where.get(key, lambda: compute(SILENT))
