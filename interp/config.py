"""What a model is, as data: the frozen config that lies beside every set of weights.

Free of torch, so that command lines read their defaults from here at no cost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from interp.support.errors import UserError
from interp.task import SortTask

Norm = Literal["pre", "post", "none"]
"""Where blocks normalise.

``pre``: x + f(LN(x)), with a final LayerNorm. ``post``: LN(x + f(x)), without one (the published
experiment). ``none``: no normalisation, for models compiled by hand.
"""

Positions = Literal["sinusoidal", "learned"]
"""``sinusoidal``: fixed, Vaswani et al. 2017, section 3.5. ``learned``: a free table."""

Sight = Literal["all", "outputs-not-blanks", "blanks-not-digits", "outputs-not-digits"]
"""What a model may never attend to, in every layer, beside padding and what comes later.

Output rows are those from the last blank on, for the last blank emits the first sorted digit; every
position always sees itself. A model trained under a restriction is evaluated under it.

``all``: no restriction (the published experiment).
``outputs-not-blanks``: output rows see no blank, so what blanks hold is lost and so is the
    attention they would draw.
``blanks-not-digits``: all blanks but the last see no digit of the list, only SEP and each other.
    With two layers they then hold nothing of the list, and are left as places to rest attention on
    (with more, SEP could pass something on).
``outputs-not-digits``: output rows see neither the digits nor SEP, which has read the digits in
    layer 0 and would be one blank more. Blanks and earlier outputs are left: the bottleneck.
"""


@dataclass(frozen=True)
class ModelConfig:
    """The architecture. Defaults are the sizes of the published experiment."""

    task: SortTask = field(default_factory=SortTask)
    n_layers: int = 2
    d_model: int = 100
    n_heads: int = 5
    d_head: int = 20
    d_mlp: int = 2048
    norm: Norm = "pre"
    positions: Positions = "sinusoidal"
    embed_bias: bool = False  # the published embedding is a Linear layer with a bias
    ln_eps: float = 1e-5  # PyTorch's default, so that weights carry over
    sight: Sight = "all"  # what may be attended to: a restriction is part of what a model is

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "d_head", "d_mlp"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}"
                )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise UserError(f"sinusoidal positions need an even d_model, not {self.d_model}")
        needed = {"all": 0, "outputs-not-digits": 2}.get(self.sight, 1)
        if self.task.n_blanks < needed:
            blanks = "a blank" if needed == 1 else f"{needed} blanks, the last being an output row"
            raise UserError(f"sight {self.sight} needs at least {blanks}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it. An unrestricted ``sight`` is left out: hashes of models are taken over
        this, and must stay those of the time before there were restrictions."""
        data = asdict(self)
        if self.sight == "all":
            del data["sight"]
        return data

    @classmethod
    def from_dict(cls, data: Any) -> ModelConfig:
        """The inverse of ``to_dict``; unknown keys are errors, missing ones take the default."""
        data = dict(_object(data, "model"))
        task = _build(SortTask, data.pop("task", {}), "task")
        return _build(cls, {**data, "task": task}, "model")


_CHOICES: dict[str, tuple[str, ...]] = {
    "norm": get_args(Norm),
    "positions": get_args(Positions),
    "sight": get_args(Sight),
}


def _build(cls: Any, data: Any, what: str) -> Any:
    data = _object(data, what)
    known = cls.__dataclass_fields__
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise UserError(f"unknown key {unknown[0]!r} in the {what} part of a config")
    for key, value in data.items():
        types: dict[Any, Any] = {"int": int, "float": (int, float), "bool": bool}
        wanted = types.get(known[key].type, object)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise UserError(f"{key} in the {what} part of a config cannot be {value!r}")
    return cls(**data)


def _object(data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UserError(f"the {what} part of a config must be an object, not {data!r}")
    return data
