"""Sets every neuron of a layer to zero in turn, and sees what one output loses."""

from __future__ import annotations

from analyses.one_list.margin import answer_list
from analyses.one_list.neurons import NeuronSettings
from analyses.one_list.neurons.figure import neuron_bars
from analyses.one_list.neurons.result import ListNeurons, ablate_neurons
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.support.progress import Progress

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(subject: ListSubject, settings: NeuronSettings, seed: int, progress: Progress) -> Shown:
    """Every neuron of a layer, by its effect on the margin of one output.

    Raises:
        UserError: if there is no such layer or output.
    """
    answered = answer_list(subject, seed)
    last = subject.model.config.n_layers - 1
    layer = last if settings.layer is None else settings.layer
    found = ablate_neurons(answered, settings.output, layer, progress)
    order = found.lost.abs().argsort(descending=True).tolist()
    table = [
        {
            "neuron": int(found.neurons[n]),
            "lost_when_zeroed": float(found.lost[n]),
            "written_directly": float(found.direct[n]),
            "activation_at_row": float(found.here[n]),
            "largest_activation": float(found.most[n]),
            "largest_at": found.where[n],
        }
        for n in order
    ]
    drawn = neuron_bars(found, settings.output, settings.top)
    return Shown(drawn, table, _neuron_words(found, settings.output))


def _neuron_words(found: ListNeurons, output: int) -> list[str]:
    n = len(found.neurons)
    where = "at the output's own row" if found.last else "at any position up to the output's row"
    words = [
        f"Output {output}: {found.margin.words}, margin {found.total:+.4f} logits.",
        f"{n} of {found.n_neurons} neurons of layer {found.layer} are active {where}; the others "
        "have no effect.",
    ]
    if not n:
        return words
    best = int(found.lost.abs().argmax())
    return [
        *words,
        f"The largest effect of one: without neuron {int(found.neurons[best])} the margin loses "
        f"{float(found.lost[best]):+.4f}. Summed over all, one at a time: "
        f"{float(found.lost.sum()):+.4f}; they write {float(found.direct.sum()):+.4f} directly.",
    ]
