"""Small models that several test files use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens import TransformerLensKeyValueCache

from interp.config import ModelConfig
from interp.interventions import Mask
from interp.model import SortTransformer
from interp.task import SortTask
from training.course import train
from training.loop import Trainer
from training.recipes import TrainConfig
from training.runs import create_run

TASK = SortTask(max_len=6, n_blanks=4)


def small_model(
    norm: str = "pre", n_layers: int = 2, task: SortTask = TASK, seed: int = 1, **others: Any
) -> SortTransformer:
    """Random weights, biases included: those matter too, and start at zero."""
    sizes = {"d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 24, **others}
    config = ModelConfig(task=task, n_layers=n_layers, norm=norm, **sizes)
    model = SortTransformer(config, seed=seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.rsplit(".", 1)[-1].startswith("b"):
                parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    return model


def trained_run(out: Path, config: TrainConfig, kind: type[Trainer] = Trainer) -> Path:
    """The folder of a run that has ended, under ``out``."""
    trainer = kind(config)
    run = create_run(out, trainer.config, trainer)
    train(trainer, run, signals=())
    return run


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int | None, how: type[BaseException]) -> None:
    """Raise in the middle of the update after ``step``; None for never."""
    update = Trainer.update

    def stopping(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        if self.step == step:
            raise how("stopped here")
        return update(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "update", stopping)


def in_float64(model: SortTransformer) -> SortTransformer:
    """The same parameters, finer: for finite differences alone, models being of float32."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.double()
    return model


def as_matrix(masks: Sequence[Mask], task: SortTask) -> Tensor:
    """[n_ctx, n_ctx], True where a query may not attend to a key."""
    matrix = torch.zeros(task.n_ctx, task.n_ctx, dtype=torch.bool)
    for mask in masks:
        assert mask.layers is None and mask.heads is None and mask.renormalise
        for query in mask.queries:
            matrix[query, list(mask.keys)] = True
    return matrix


def cached_decode(model: SortTransformer, values: Sequence[int]) -> torch.Tensor:
    """Greedy decoding as ``HookedTransformer`` does it, hooks and KV cache: [step, d_vocab_out]."""
    cache = TransformerLensKeyValueCache.init_cache(model.cfg, "cpu", 1)
    feed = model.task.encode([values]).tokens[:, : model.task.prompt_len]
    probabilities = []
    with torch.no_grad():
        for _ in values:
            probabilities.append(model(feed, past_kv_cache=cache)[0, -1].softmax(-1))
            feed = probabilities[-1].argmax()[None, None]
    return torch.stack(probabilities)
