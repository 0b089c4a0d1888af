"""What a model is, as data: the frozen config that lies beside every set of weights.

Free of torch, so that command lines read their defaults from here at no cost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from interp.errors import UserError
from interp.task import SortTask

Norm = Literal["pre", "post", "none"]
"""Where blocks normalise.

``pre``: x + f(LN(x)), with a final LayerNorm. ``post``: LN(x + f(x)), without one (the published
experiment). ``none``: no normalisation, for models compiled by hand.
"""

Positions = Literal["sinusoidal", "learned"]
"""``sinusoidal``: fixed, Vaswani et al. 2017, section 3.5. ``learned``: a free table."""


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

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "d_head", "d_mlp"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, allowed in (("norm", get_args(Norm)), ("positions", get_args(Positions))):
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}"
                )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise UserError(f"sinusoidal positions need an even d_model, not {self.d_model}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> ModelConfig:
        """The inverse of ``to_dict``; unknown keys are errors, missing ones take the default."""
        data = dict(_object(data, "model"))
        task = _build(SortTask, data.pop("task", {}), "task")
        return _build(cls, {**data, "task": task}, "model")


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
