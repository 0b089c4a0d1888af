"""Who reads: the blanks where they compute, nothing but the row where they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from analyses.one_reader import OneReaderConfig, compute
from analyses.one_reader.body import figure, rows, summary, to_json, verdicts
from analyses.one_reader.result import CUTS, RIGHT, Exchanged
from interp.sorters.compiled import compile_sorter
from interp.sorters.truth import SORTERS, SorterName, truth_of
from interp.task import SortTask
from tests.models import small_model

SMALL = OneReaderConfig(prompts=24, right=24, examples=24, pairs=30)


@pytest.mark.parametrize("name", SORTERS)
def test_the_blanks_read_where_they_were_made_to(name: SorterName) -> None:
    result = compute(compile_sorter(name, SortTask(8, 9)).model, SMALL)
    assert verdicts(result) == {
        "digits_reads": False,
        "rest_reads": truth_of(name).blanks_content,
        "outputs_reads": False,
    }
    finding = summary(result)[-1]
    if truth_of(name).blanks_content:
        assert finding.startswith("What the blanks and SEP have read is needed")
    else:
        assert finding.startswith("Only the row that answers has to read")
        assert all(kind.rates[-1].value == 1 for kind in result.kinds)
        assert all(one.rate.value == 1 for one in result.exchanged)


def test_what_is_told_is_what_was_found() -> None:
    """Of a random model, whose answers follow nothing: what must hold whatever it says."""
    result = compute(small_model("pre", 2, SortTask(max_len=6, n_blanks=4)), SMALL)
    assert result.kinds[0].name == RIGHT and len(result.kinds[0].said) == 24
    for kind in result.kinds:
        for cut, rate in enumerate(kind.rates):
            same = [a == b for a, b in zip(kind.cut[cut].tolist(), kind.said.tolist(), strict=True)]
            assert rate.value == sum(same) / len(same)
    names = [one.part for one in result.exchanged]
    assert names[-2:] == ["attention 1", "MLP 1"] and len(set(names)) == len(names)
    told = to_json(result)
    assert set(told["agreement"]) == set(CUTS)
    assert told["needed"] == [n for c, n in enumerate(CUTS) if result.costs(c)]
    n_changed = sum(one.where_it_changes is not None for one in result.exchanged)
    cells = len(result.kinds) * len(CUTS)
    assert "known by digit, place and count alone" in summary(result)[0]
    assert len(rows(result)) == cells + len(result.exchanged) + n_changed
    assert figure(result).layout.title.text


def test_pairs_in_which_the_answer_changes() -> None:
    said = torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 0, 0]), torch.tensor([1, 1, 1, 1])
    one = Exchanged("head 0.0", *said)
    assert one.rate.value == 0.5
    changed = one.where_it_changes
    assert changed is not None and (changed.value, changed.n) == (1 / 3, 3)
    assert Exchanged("head 0.0", said[2], said[1], said[2]).where_it_changes is None


def test_a_model_of_one_layer_is_the_program() -> None:
    result = compute(small_model("pre", 1, SortTask(max_len=6, n_blanks=4)), SMALL)
    assert not any(verdicts(result).values())
    assert all(rate.value == 1 for kind in result.kinds for rate in kind.rates)


def test_counts_are_known_only_if_they_may_be() -> None:
    model = small_model("pre", 2, SortTask(max_len=6, n_blanks=4))
    without = compute(model, replace(SMALL, counts=False))
    assert without.known["digits"] < compute(model, SMALL).known["digits"]
    assert "known by digit and place alone" in summary(without)[0]
