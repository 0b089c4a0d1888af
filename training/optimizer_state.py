"""Whether the saved state of an optimiser is one that these parameters can have come to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp.support.errors import UserError
from interp.support.fields import fits
from interp.support.strict_json import short
from interp.weights import all_finite

_SET_EACH_STEP = "lr"  # the schedule says it before every update
_MOMENTS = ("exp_avg", "exp_avg_sq")


def check_optimizer(state: Any, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Hold a saved ``state_dict`` of Adam or AdamW against the one that is to take it.

    Args:
        step: updates that it has made.

    Raises:
        UserError: saying what does not fit.
    """
    if not isinstance(state, dict) or not {"state", "param_groups"} <= set(state):
        raise UserError("it holds no state of an optimiser")
    own = optimizer.state_dict()["param_groups"]
    _check_groups(state["param_groups"], own)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments = state["state"]
    if not isinstance(moments, dict) or set(moments) != set(range(len(parameters))):
        raise UserError(f"its optimiser does not hold the state of {len(parameters)} parameters")
    for number, parameter in enumerate(parameters):
        _check_moments(moments[number], parameter, f"parameter {number}", step)


def _check_groups(groups: Any, own: list[dict[str, Any]]) -> None:
    if not isinstance(groups, list) or len(groups) != len(own):
        raise UserError(f"its optimiser has other groups of parameters than the {len(own)} here")
    for saved, ours in zip(groups, own, strict=True):
        if not isinstance(saved, dict) or not set(saved) <= set(ours):
            raise UserError("a group of its optimiser's parameters is none")
        if not fits(saved.get(_SET_EACH_STEP), float):
            raise UserError("its optimiser's learning rate is no number")
        for key in set(saved) - {_SET_EACH_STEP}:
            if type(saved[key]) is not type(ours[key]) or saved[key] != ours[key]:
                raise UserError(
                    f"its optimiser has {short(key)} {short(saved[key])}, not {short(ours[key])}"
                )


def _check_moments(saved: Any, parameter: Tensor, what: str, step: int) -> None:
    if not isinstance(saved, dict) or set(saved) != {"step", *_MOMENTS}:
        raise UserError(f"its optimiser does not hold the moments of {what}")
    if not all(isinstance(tensor, Tensor) for tensor in saved.values()):
        raise UserError(f"its optimiser's moments of {what} are no tensors")
    if saved["step"].numel() != 1 or float(saved["step"]) != step:
        raise UserError(f"its optimiser has not made {step} updates of {what}")
    for name in _MOMENTS:
        tensor = saved[name]
        if tensor.shape != parameter.shape or tensor.dtype != parameter.dtype:
            raise UserError(
                f"{name} of {what} has shape {tuple(tensor.shape)} and type {tensor.dtype}, "
                f"not {tuple(parameter.shape)} and {parameter.dtype}"
            )
        if not all_finite(tensor):
            raise UserError(f"{name} of {what} holds NaN or infinity")
    if (saved["exp_avg_sq"] < 0).any():
        raise UserError(f"exp_avg_sq of {what} holds numbers below 0")


def check_tensors(saved: Any, own: dict[str, Tensor], what: str) -> None:
    """Whether saved tensors are as many, of the same names, shapes and types, all finite.

    Raises:
        UserError: saying what does not fit.
    """
    if not isinstance(saved, dict) or set(saved) != set(own):
        raise UserError(f"{what} are not there, or of another model")
    for name, ours in own.items():
        tensor = saved[name]
        if not isinstance(tensor, Tensor) or (tensor.shape, tensor.dtype) != (
            ours.shape,
            ours.dtype,
        ):
            raise UserError(f"{what}: {name} has another shape or type")
        if not all_finite(tensor):
            raise UserError(f"{what}: {name} holds NaN or infinity")
