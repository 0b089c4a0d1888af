"""One output of a list's answer, by its margin: shared by the experiments on what is inside.

A pass goes over the list and the model's own answer to it: where the answer is wrong, the outputs
after the mistake have seen the mistake. What is done to the model is done in all of it.

The *margin* of an output is the logit of the right digit minus that of the strongest other token:
the runner-up where the output is right, the token that was said where it is wrong. It is positive
exactly where the output is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.one_list.subject import ListSubject
from interp.interventions import edits_of
from interp.methods.attribution import difference
from interp.passes.forward import Edits
from interp.passes.packed import Window
from interp.support.errors import UserError
from interp.task import SortTask
from interp.transformer import Transformer


@dataclass(frozen=True)
class AnsweredList:
    """A list with the answer that the model gave to it, and what was done meanwhile."""

    model: Transformer
    digits: tuple[int, ...]
    tokens: Int[Tensor, "1 pos"]
    answer: tuple[int, ...]
    edits: Edits

    @property
    def task(self) -> SortTask:
        return self.model.task

    @property
    def start(self) -> int:
        """The position of the first digit: before it is padding."""
        return self.task.max_len - len(self.digits)

    def row(self, output: int) -> int:
        """The position that emits an output.

        Raises:
            UserError: if the list has no such output.
        """
        last = min(len(self.answer), len(self.task.answer(self.digits))) - 1
        if not 0 <= output <= last:
            raise UserError(f"there is no output {output}: this list has outputs 0 to {last}")
        return self.task.first_output_row + output


def answer_list(subject: ListSubject, seed: int = 0) -> AnsweredList:
    """Let the model answer under the treatment."""
    model, digits, run = subject.model, subject.digits, subject.run(seed)
    tokens = model.task.encode([digits]).tokens.to(model.W_U.device)
    first, answer = model.task.prompt_len, run.decoded.answer.tokens
    tokens[0, first:] = model.task.pad
    tokens[0, first : first + len(answer) - 1] = tokens.new_tensor(answer[:-1])
    return AnsweredList(
        model=model,
        digits=digits,
        tokens=tokens,
        answer=answer,
        edits=edits_of(model, run.interventions),
    )


@dataclass(frozen=True)
class Margin:
    """The right digit against the strongest other token."""

    task: SortTask
    right: int
    other: int
    target: Float[Tensor, "1 1 d_vocab_out"]
    """Weights on the logits."""

    def of(self, logits: Float[Tensor, "*batch row d_vocab_out"]) -> Float[Tensor, "*batch row"]:
        """In logits."""
        return (logits * self.target[0]).sum(-1)

    @property
    def words(self) -> str:
        """``4 against 5``"""
        return f"{self.task.token_name(self.right)} against {self.task.token_name(self.other)}"


def margin(answered: AnsweredList, output: int, logits: Float[Tensor, "1 1 d_vocab_out"]) -> Margin:
    """The margin of an output whose logits are given."""
    task = answered.task
    right = logits.new_tensor([[task.answer(answered.digits)[output]]], dtype=torch.long)
    other = logits.scatter(-1, right[..., None], -torch.inf).argmax(-1)
    return Margin(task, int(right), int(other), difference(task, right, other))


class UpTo(Window):
    """What one row can depend on: every position from the list's first to the row itself."""

    @property
    def stop(self) -> int:
        return self.first_row + 1
