"""All experiments there are, found in the folders of this package.

    experiment("patch_blanks").compute(model)
    [one.title for one in reported()]

A new experiment is a new folder; nothing has to be registered.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

import analyses
from analyses.experiment import Experiment
from interp.support.errors import UserError


@cache
def _at(places: tuple[str, ...]) -> dict[str, Experiment]:
    found = {}
    for module in pkgutil.walk_packages(places, "analyses."):
        if module.ispkg:  # a face imports nothing heavy; everything else is left alone
            one = getattr(importlib.import_module(module.name), "EXPERIMENT", None)
            if isinstance(one, Experiment):
                found[one.name] = one
    return found


def experiments() -> dict[str, Experiment]:
    """Every experiment by its name; in the order of the report, then by name."""
    found = _at(tuple(analyses.__path__))
    last = 1 + max((one.chapter or 0 for one in found.values()), default=0)
    order = sorted(found.values(), key=lambda one: (one.chapter or last, one.name))
    return {one.name: one for one in order}


def experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UserError: if there is none.
    """
    found = experiments()
    _known(name, list(found))
    return found[name]


def check_names(only: Sequence[str], among: Sequence[Experiment]) -> None:
    """Whether names that were given as ``--only`` are those of experiments among these.

    Raises:
        UserError: naming the first that is not, and all that there are.
    """
    for name in only:
        _known(name, [one.name for one in among], "--only: ")


def _known(name: str, names: Sequence[str], where: str = "") -> None:
    if name not in names:
        raise UserError(f"{where}no analysis {name!r}; there are {', '.join(names)}")


def reported() -> list[Experiment]:
    """Those of one model, in the order of a report: from what it does to what happens inside."""
    return [one for one in experiments().values() if one.chapter is not None]


def on_page(path: str) -> list[Experiment]:
    """Those that a page of the explorer offers, in the same order."""
    found = experiments().values()
    return [one for one in found if one.on_page is not None and one.on_page.page == path]
