"""The first weights of the published experiment: PyTorch's own, for its own modules.

They are made by building those modules, so nothing about their initialisation is restated here.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from interp.algoformer import ReferenceModel, copy_weights
from interp.model import SortTransformer
from interp.support.seeds import stream


def pytorch_initialise(model: SortTransformer, seed: int) -> None:
    """Give ``model`` the weights that the published modules would start from.

    Note a quirk that is part of the experiment: ``nn.TransformerEncoder`` copies one layer, so
    both layers start with the same weights. A pre-norm model has the same modules, and a last
    LayerNorm, which starts as PyTorch's does: with gain 1 and bias 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream("init", seed).initial_seed())
        state = ReferenceModel(replace(model.config, norm="post")).state_dict()
    copy_weights(model, state)
