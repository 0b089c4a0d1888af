"""A program as a causal model: inputs, named variables, an answer; any variable can be set.

    trace = COPY_AND_COUNT.trace({"values": [2, 1, 1], "prefix": [1]})
    trace["copies_in_list"], trace["copies_out"], trace["answer"]          # 2, 1, 1
    COPY_AND_COUNT.answer({"values": [2, 1, 1], "prefix": [1]}, {"stay": False})      # 2

A variable is a function, and what it reads are its parameters: inputs and earlier variables, by
their names. Setting one puts a value in its place, and whatever reads it follows (an intervention
in the sense of Pearl; Geiger et al. 2021). Nothing here knows about sorting: a program for another
task has other inputs and other variables, and everything that compares programs with models goes
through ``inputs``, ``trace`` and ``trace_batch``.

Every variable comes twice: as plain Python on one example, which is what a reader checks, and on a
batch of tensors, which is what runs. The tests hold the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Variable:
    """One named quantity of a program."""

    plain: Callable[..., Any]
    """On one example. Its name is the variable's; its parameters are what the variable reads."""
    batched: Callable[..., Tensor]
    """The same, with the same parameters, on tensors whose first axis is the example."""
    words: str
    """For people: ``copies of the last digit that are out``."""

    @cached_property
    def name(self) -> str:
        return self.plain.__name__

    @cached_property
    def reads(self) -> tuple[str, ...]:
        return tuple(signature(self.plain).parameters)


@dataclass(frozen=True)
class Program:
    """Variables in an order in which they can be computed; the last one is the answer."""

    name: str
    words: str
    """The algorithm in a sentence."""
    inputs: tuple[str, ...]
    variables: tuple[Variable, ...]

    def __post_init__(self) -> None:
        known = set(self.inputs)
        for variable in self.variables:
            if tuple(signature(variable.batched).parameters) != variable.reads:
                raise ValueError(f"{self.name}: {variable.name} has two lists of parameters")
            if unknown := set(variable.reads) - known:
                raise ValueError(f"{self.name}: {variable.name} reads unknown {sorted(unknown)}")
            if variable.name in known:
                raise ValueError(f"{self.name} has two variables {variable.name}")
            known.add(variable.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variables, the answer last."""
        return tuple(variable.name for variable in self.variables)

    def variable(self, name: str) -> Variable:
        """The variable of that name.

        Raises:
            KeyError: if this program has none.
        """
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise KeyError(f"{self.name} has no variable {name}: it has {', '.join(self.names)}")

    def trace(
        self, inputs: Mapping[str, Any], put: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Every variable's value on one example; those in ``put`` have the value given there."""
        return self._trace(inputs, put or {}, lambda variable: variable.plain)

    def answer(self, inputs: Mapping[str, Any], put: Mapping[str, Any] | None = None) -> Any:
        """The last variable of :meth:`trace`."""
        return self.trace(inputs, put)[self.names[-1]]

    def trace_batch(
        self, inputs: Mapping[str, Tensor], put: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The same for a batch: the first axis of every input and value is the example."""
        return self._trace(inputs, put or {}, lambda variable: variable.batched)

    def answer_batch(
        self, inputs: Mapping[str, Tensor], put: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The last variable of :meth:`trace_batch`."""
        return self.trace_batch(inputs, put)[self.names[-1]]

    def _trace(
        self,
        inputs: Mapping[str, Any],
        put: Mapping[str, Any],
        which: Callable[[Variable], Callable[..., Any]],
    ) -> dict[str, Any]:
        for name in put:
            self.variable(name)
        known = {name: inputs[name] for name in self.inputs}
        for variable in self.variables:
            if variable.name in put:
                known[variable.name] = put[variable.name]
            else:
                known[variable.name] = which(variable)(*(known[name] for name in variable.reads))
        return {name: known[name] for name in self.names}
