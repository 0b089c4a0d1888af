"""What is right by chance, on lists whose pairs can be counted by hand."""

import torch

from interp.answers.chance import chance
from interp.answers.trials import AS_IT_IS, nothing, run_trials
from interp.rules import PARITY
from interp.task import SortTask, Task
from tests.models import small_model


def test_pairs_of_one_length_with_the_same_answer() -> None:
    task = SortTask(3, 0)
    assert chance(task, [(1, 2), (2, 1), (3, 4), (5,)]) == 2 / 3 * 1 / 2  # 1 of 3 pairs
    assert chance(task, [(1,), (2,), (3,)]) == 0
    assert chance(task, [(1, 2), (2, 1)]) == 1
    assert chance(task, [(1,)]) == 0  # no pair


def test_of_trials() -> None:
    for task, least, most in ((SortTask(8, 2), 0.0, 0.05), (Task(8, 2, rule=PARITY), 0.45, 0.55)):
        model = small_model(task=task)
        trials = run_trials(model, task.held_out(24), {AS_IT_IS: nothing})
        assert least <= trials.chance() <= most
        assert trials.chance() == trials.chance()
        assert torch.equal(trials.lengths.unique(), torch.arange(1, 9))
