"""Single neurons by what their loss costs one output of one list.

    python -m analyses.one_list.neurons --list 3,1,1 --output 2 --layer 0 --top 40

After 3 1 1 the model says 1 1 3. An output's *margin* is the logit of the right digit minus that of
the strongest other token. Every neuron of a layer is set to zero in turn, at all positions at once,
and the model runs again: what the margin loses is the neuron's effect, exactly.

All of it is of one list, and under what ``--do`` says is done to the model.

What it does not show: what happens on other lists (``analyses.attribution`` is of many), and what
neurons that stand in for each other do: each is taken away alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList
from interp.support.errors import at_least


@dataclass(frozen=True)
class NeuronSettings:
    """Which output and layer, and how many neurons."""

    output: int = 0  # counted from 0
    layer: int | None = None  # default: the last
    top: int = 20  # neurons in the figure; the numbers are of all active ones

    def __post_init__(self) -> None:
        at_least(self, top=1)


EXPERIMENT = Experiment(
    name="one_list.neurons",
    title="Neurons by their effect on one output",
    about=OfList,
    settings=NeuronSettings(),
)
