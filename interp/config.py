"""What a model is, as data: the frozen config that lies beside every set of weights.

Free of torch, so that command lines read their defaults from here at no cost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from interp.support.errors import UserError
from interp.support.fields import check_types, checked
from interp.support.limits import MOST_HEADS, MOST_LAYERS, MOST_NEURONS, MOST_PARAMETERS, MOST_WIDTH
from interp.support.strict_json import short
from interp.task import SortTask

Norm = Literal["pre", "post", "none"]
"""Where blocks normalise.

``pre``: x + f(LN(x)), with a final LayerNorm. ``post``: LN(x + f(x)), without one (the published
experiment). ``none``: no normalisation, for models compiled by hand.
"""

Positions = Literal["sinusoidal", "learned"]
"""``sinusoidal``: fixed, Vaswani et al. 2017, section 3.5. ``learned``: a free table."""

Activation = Literal[
    "relu",
    "gelu",
    "gelu_new",
    "gelu_fast",
    "gelu_pytorch_tanh",
    "silu",
    "solu",
    "solu_ln",
    "relu2",
    "xielu",
]
"""What neurons do, by TransformerLens's names (``act_fn``). ``relu`` is that of the published
experiment; :mod:`interp.passes.activations` has them all."""

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
    d_mlp: int = 2048  # 0: attention only, for MLPs without neurons add nothing
    norm: Norm = "pre"
    positions: Positions = "sinusoidal"
    embed_bias: bool = False  # the published embedding is a Linear layer with a bias
    ln_eps: float = 1e-5  # PyTorch's default, so that weights carry over
    sight: Sight = "all"  # what may be attended to: a restriction is part of what a model is
    activation: Activation = "relu"  # of the MLPs' neurons

    def __post_init__(self) -> None:
        check_types(self)
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value < (least := 0 if name == "d_mlp" else 1):
                raise UserError(f"{name} must be at least {least}, not {value}")
            if value > most:
                raise UserError(f"{name} must be at most {most:,}, not {value:,}")
        if not 0 < self.ln_eps <= 1:
            raise UserError(f"ln_eps must be above 0 and at most 1, not {self.ln_eps}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}"
                )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise UserError(f"sinusoidal positions need an even d_model, not {self.d_model}")
        if not self.d_mlp and self.activation != "relu":
            raise UserError(f"there are no neurons (d_mlp 0) that could be of {self.activation}")
        needed = {"all": 0, "outputs-not-digits": 2}.get(self.sight, 1)
        if self.task.n_blanks < needed:
            blanks = "a blank" if needed == 1 else f"{needed} blanks, the last being an output row"
            raise UserError(f"sight {self.sight} needs at least {blanks}")
        if (n := self.n_parameters) > MOST_PARAMETERS:
            raise UserError(f"a model of {n:,} parameters; the most are {MOST_PARAMETERS:,}")

    @property
    def n_parameters(self) -> int:
        """About how many numbers the weights are: biases and norms are left out."""
        attention = 4 * self.d_model * self.n_heads * self.d_head
        layers = self.n_layers * (attention + 2 * self.d_model * self.d_mlp)
        table = self.task.n_ctx if self.positions == "learned" else 0
        return layers + self.d_model * (self.task.d_vocab + self.task.d_vocab_out + table)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it. An unrestricted ``sight`` is left out, and so is ReLU: hashes of models
        are taken over this, and must stay those of the time before there were others."""
        data = {**asdict(self), "task": self.task.to_dict()}
        for name, usual in {"sight": "all", "activation": "relu"}.items():
            if data[name] == usual:
                del data[name]
        return data

    @classmethod
    def from_dict(cls, data: Any) -> ModelConfig:
        """The inverse of ``to_dict``; unknown keys are errors, missing ones take the default."""
        if not isinstance(data, dict):
            raise UserError(f"the model part of a config must be an object, not {short(data)}")
        task = SortTask.from_dict(data.get("task", {}))
        return cls(**checked(cls, {**data, "task": task}, "model"))


_MOST = {
    "n_layers": MOST_LAYERS,
    "d_model": MOST_WIDTH,
    "n_heads": MOST_HEADS,
    "d_head": MOST_WIDTH,
    "d_mlp": MOST_NEURONS,
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "norm": get_args(Norm),
    "positions": get_args(Positions),
    "sight": get_args(Sight),
    "activation": get_args(Activation),
}
