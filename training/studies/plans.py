"""Plans: which arms a study compares, and what counts, written down before any run.

    name = "original"
    description = "The published experiment."

    [base]                      # any field of a recipe; holds for every arm
    recipe = "original"

    [[arm]]
    name = "blanks"
    words = "49 blanks before the answer"

    [[arm]]
    name = "no-blanks"
    words = "no blanks"
    no_blanks = true            # any field of a recipe, for this arm
    against = ["blanks"]        # arms it is compared with (default: the first arm)

    [measures]                  # every threshold, fixed before any run; see Measures
    convergent_at = 0.9
    ...

Seeds, threads and the device are not a plan's business: the command line has them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from interp.support import files
from interp.support.errors import UserError
from interp.support.fields import fits
from interp.support.strict_json import cut, short
from training.recipes import RECIPES, TrainConfig, by_todays_names, first_difference

SHIPPED = Path(__file__).resolve().parents[1] / "plans"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MOST_BYTES = 1 << 20  # of a plan; ours take 2,000
_NOT_IN_PLANS = {"seed": "--seeds and --first-seed", "threads": "--threads", "device": "--device"}


@dataclass(frozen=True)
class Measures:
    """What the runs of a study are measured by. A plan states each; there are no defaults."""

    convergent_at: float
    """A run is convergent if the median accuracy of its last ``convergent_steps`` is as high."""
    convergent_steps: int
    """The window of that median, in steps; the published one is 1000 of 6000."""
    last_share: float
    """The other median is taken over this last share of the steps."""
    reached: float
    """An accuracy counts as reached at this; crashes are counted after it."""
    crash_drop: float
    """A crash is a fall by more than this below the highest value since ``reached``."""
    final_lists: int
    """Lists that the last weights are tested on, fresh ones, stratified by length."""

    def __post_init__(self) -> None:
        for name in ("convergent_at", "last_share", "reached", "crash_drop"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}")
        for name in ("convergent_steps", "final_lists"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Arm:
    """One way to train, run with every seed."""

    name: str
    words: str
    """What it changes, for people."""
    config: TrainConfig
    """With seed 0; :meth:`seeded` gives the others."""
    against: tuple[str, ...]
    """Names of the arms it is compared with; empty for a first arm."""

    def seeded(self, seed: int) -> TrainConfig:
        return replace(self.config, seed=seed)


@dataclass(frozen=True)
class Plan:
    """Arms and measures. ``text`` is the file as it was written."""

    name: str
    description: str
    arms: tuple[Arm, ...]
    measures: Measures
    text: str

    def arm(self, name: str) -> Arm:
        for arm in self.arms:
            if arm.name == name:
                return arm
        known = ", ".join(arm.name for arm in self.arms)
        raise UserError(f"plan {self.name} has no arm {name!r}; it has {known}")

    def difference(self, other: Plan) -> str | None:
        """The first thing that decides results and differs: ``arm blanks: lr is 0.001, not 0.002``.

        Words that describe may differ.
        """
        if self.name != other.name:
            return f"name is {self.name!r}, not {other.name!r}"
        names = [[arm.name for arm in plan.arms] for plan in (self, other)]
        if names[0] != names[1]:
            return f"arms are {', '.join(names[0])}, not {', '.join(names[1])}"
        parts: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("measures", vars(self.measures), vars(other.measures))
        ]
        for one, two in zip(self.arms, other.arms, strict=True):
            ours = {**one.config.learned(), "against": one.against}
            theirs = {**two.config.learned(), "against": two.against}
            parts.append((f"arm {one.name}", ours, theirs))
        found = (first_difference(what, one, two) for what, one, two in parts)
        return next((words for words in found if words), None)


def shipped_plans() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_plan(name_or_path: str | Path) -> Plan:
    """A shipped plan by name, or any by path.

    Raises:
        UserError: naming the file, what is wrong in it, and what is allowed.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped_plans():
        path = SHIPPED / f"{name_or_path}.toml"
    elif not path.is_file():
        names = ", ".join(shipped_plans())
        raise UserError(
            f"no plan {str(name_or_path)!r}: give a shipped one ({names}) or a TOML file"
        )
    try:
        return parse_plan(files.read_text(path, _MOST_BYTES))
    except (UserError, ValueError) as error:  # ValueError: what is no TOML, or no text
        raise UserError(f"plan {path}: {cut(' '.join(str(error).split()), 200)}") from None
    except RecursionError:
        raise UserError(f"plan {path}: it is nested too deeply") from None


def parse_plan(text: str) -> Plan:
    """The plan that a TOML text states."""
    data = tomllib.loads(text)
    _known(data, ("name", "description", "base", "arm", "measures"), "a plan")
    tables = data.get("arm", [])
    if not isinstance(tables, list) or not tables:
        raise UserError("a plan needs at least one [[arm]]")
    base = by_todays_names(_table(data.get("base", {}), "[base]"))
    arms: list[Arm] = []
    for table in tables:
        arms.append(_arm(base, _table(table, "[[arm]]"), tuple(arm.name for arm in arms)))
    measures = _measures(_table(data.get("measures", {}), "[measures]"))
    return Plan(_name(data, "a plan"), _words(data, "description"), tuple(arms), measures, text)


def _arm(base: dict[str, Any], table: dict[str, Any], earlier: tuple[str, ...]) -> Arm:
    name = _name(table, "an arm")
    if name in earlier:
        raise UserError(f"two arms are called {name!r}")
    own = {key: value for key, value in table.items() if key not in ("name", "words", "against")}
    against = table.get("against", list(earlier[:1]))
    if not isinstance(against, list) or not all(one in earlier for one in against):
        raise UserError(
            f"arm {name}: against must list arms above it ({', '.join(earlier) or 'none'}), "
            f"not {against!r}"
        )
    config = _config(base | by_todays_names(own), f"arm {name}")
    return Arm(name, _words(table, "words"), config, tuple(against))


def _config(values: dict[str, Any], what: str) -> TrainConfig:
    for key, place in _NOT_IN_PLANS.items():
        if key in values:
            raise UserError(f"{what}: {key} is not part of a plan; it is set by {place}")
    allowed = [f.name for f in fields(TrainConfig) if f.name not in _NOT_IN_PLANS]
    _known(values, tuple(allowed), what)
    values = {key: _typed(TrainConfig, key, value, what) for key, value in values.items()}
    recipe = RECIPES.get(values.get("recipe", "stable"))
    if recipe is None:
        raise UserError(f"{what}: recipe must be one of {', '.join(RECIPES)}")
    try:
        return replace(recipe, **values)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None


def _measures(values: dict[str, Any]) -> Measures:
    what, names = "[measures]", tuple(f.name for f in fields(Measures))
    _known(values, names, what)
    for name in names:
        if name not in values:
            raise UserError(f"{what} lacks {name}; it states {', '.join(names)}")
    try:
        return Measures(**{k: _typed(Measures, k, value, what) for k, value in values.items()})
    except UserError as error:
        raise UserError(f"[measures]: {error}") from None


def _known(values: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(values) - set(allowed))
    if unknown:
        raise UserError(f"{what} has an unknown key {unknown[0]!r}; allowed: {', '.join(allowed)}")


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{what} must be a table, not {value!r}")
    return value


def _typed(cls: Any, name: str, value: Any, what: str) -> Any:
    """``value`` as field ``name`` of ``cls`` holds it (its choices are checked by ``cls``)."""
    annotation = str(cls.__dataclass_fields__[name].type).removesuffix(" | None")
    kinds = {"int": int, "float": float, "bool": bool}
    if not fits(value, kinds.get(annotation, str)):
        kind = annotation if annotation in kinds else "text"
        raise UserError(f"{what}: {name} must be of type {kind}, not {short(value)}")
    return float(value) if annotation == "float" else value  # 1 is a rate, too


def _name(values: dict[str, Any], what: str) -> str:
    name = values.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"{what} needs a name of small letters, digits and hyphens, as a folder's; not {name!r}"
        )
    return name


def _words(values: dict[str, Any], key: str) -> str:
    words = values.get(key, "")
    if not isinstance(words, str):
        raise UserError(f"{key} must be text, not {words!r}")
    return words
