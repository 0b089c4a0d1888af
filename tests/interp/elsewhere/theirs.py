"""Models as others have them: plain ``HookedTransformer``s, with nothing of ours."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from transformer_lens import HookedTransformer, HookedTransformerConfig

from interp.task import Task


def plain(seed: int = 0, **config: Any) -> HookedTransformer:
    """Random weights, biases and LayerNorms included, for what starts at 0 or 1 matters, too."""
    sizes: dict[str, Any] = {
        "n_layers": 2, "d_model": 12, "n_heads": 3, "d_head": 4, "d_mlp": 10, "act_fn": "gelu",
        "n_ctx": 9, "d_vocab": 13, "normalization_type": "LN", "device": "cpu",
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = HookedTransformer(HookedTransformerConfig(**{**sizes, **config}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".act_fn." not in name:
                parameter.normal_(float(name.endswith(".w")), 0.5, generator=generator)
    return model.eval()


def lists_of_four(task: Any, vocabulary: list[int]) -> tuple[Tensor, Tensor]:
    """Sequences of the longest lists, in our tokens and in theirs, without the last one, which
    nothing reads.

    Args:
        vocabulary: their token of each of ours.
    """
    batch = task.sample(8, torch.Generator().manual_seed(0), torch.full((8,), task.max_len))
    ours = batch.tokens[:, :-1]
    return ours, torch.tensor(vocabulary)[ours]


def trained_on_digits(steps: int, task: Task) -> HookedTransformer:
    """One layer of four heads and GELU neurons, trained to sort; it attends to any padding."""
    torch.manual_seed(0)
    model = plain(
        n_layers=1, n_heads=4, d_model=64, d_head=16, d_mlp=128, act_fn="gelu",
        n_ctx=task.n_ctx, d_vocab=11 if len(task.lengths) == 1 else 13,
    )  # fmt: skip
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, max(1, steps))
    for _ in range(steps):
        tokens = task.sample(256).tokens
        logits = model(tokens[:, :-1])[:, task.first_output_row :]
        wanted = tokens[:, task.first_output_row + 1 :]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=task.pad
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return model.eval()
