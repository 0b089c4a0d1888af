"""Use of the blanks in numbers: as the analyses give them, and right on sorters that are known."""

from __future__ import annotations

import torch

from analyses import ablate_blanks, transplant_blanks
from interp.answers.use import exact_without_blanks, follow_rate
from interp.sorters.compiled import compile_sorter
from interp.stats import Estimate
from interp.task import SortTask
from tests.models import small_model


def test_the_follow_rate_is_that_of_the_transplant_analysis() -> None:
    model = small_model(seed=2)
    with torch.no_grad():  # sharp attention to large values, so that a transplant changes answers
        for block in model.blocks:
            block.attn.W_Q.mul_(6)
            block.attn.W_V.mul_(4)
            block.attn.W_O.mul_(4)
    whole = transplant_blanks.compute(model, transplant_blanks.TransplantConfig(24), 3)
    others = [whole.rate(name) for name in ("nothing", "blanks with the last")]
    assert follow_rate(model, 24, 3) == whole.rate("blanks")
    assert whole.rate("blanks") not in others
    slots = compile_sorter("slots", SortTask(6, 7)).model  # known to answer from its blanks
    assert follow_rate(slots, 12, 0) == Estimate(1.0, 0.75, 1.0, 12)


def test_the_ablations_are_those_of_the_analysis() -> None:
    sink = compile_sorter("sink", SortTask(6, 7)).model
    found = exact_without_blanks(sink, 24, 3)
    whole = ablate_blanks.compute(sink, ablate_blanks.AblateConfig(24, 1), 3)
    assert found == {
        kind: whole.exact(kind, ablate_blanks.EXPERIMENT.body.ALL) for kind in whole.kinds
    }
    assert found["mask"].value < 0.5 and found["resample"].value == 1.0  # it is there to rest on
