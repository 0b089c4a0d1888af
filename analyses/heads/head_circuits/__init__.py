"""What do one head's weights say by themselves? Its QK or OV circuit, as a heatmap.

    python -m analyses.heads.head_circuits --layer 1 --head 2
    python -m analyses.heads.head_circuits --layer 0 --head 4 --circuit qk-positions

``ov``: what attending fully to a token adds to each output's logit. ``qk-tokens``: who would look
for whom, token by token. ``qk-token-position``, ``qk-position-token`` and ``qk-positions``: the
same with positions on one side or on both. A softmax does not see what all keys of a query share,
so a row of a QK circuit is shown less its mean over the digits (where keys are tokens) or over the
positions up to the query's own, or all (where keys are positions).

Where ``interp.methods.circuits`` is exact, and how LayerNorm is approximated, is said by
``approximation``.

What it does not show: what happens on real lists, where a head above layer 0 reads mostly what the
layers below have written. ``analyses.heads.attention_patterns`` has the patterns of real lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfModel
from interp.sites import head_name

Circuit = Literal["ov", "qk-tokens", "qk-token-position", "qk-position-token", "qk-positions"]


NAMES: dict[Circuit, str] = {
    "ov": "OV: what attending to a token adds to the logits",
    "qk-tokens": "QK: which token looks for which token",
    "qk-token-position": "QK: which token looks for which position",
    "qk-position-token": "QK: which position looks for which token",
    "qk-positions": "QK: which position looks for which position",
}


@dataclass(frozen=True)
class CircuitConfig:
    """Which head, and which of its circuits."""

    layer: int = 0
    head: int = 0  # counted from 0 within its layer
    circuit: Circuit = "ov"  # what it writes; or what it looks for, the QK circuits

    @property
    def own(self) -> tuple[str, str]:
        """Names this circuit's folder."""
        return head_name((self.layer, self.head)), self.circuit


EXPERIMENT = Experiment(
    name="heads.head_circuits",
    title="What a head's weights say",
    about=OfModel,
    settings=CircuitConfig(),
)
compute = EXPERIMENT.compute
