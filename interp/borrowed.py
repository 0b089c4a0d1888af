"""What TransformerLens offers, where it is right for a sort transformer; refused where it is not.

Much of ``HookedTransformer`` and ``ActivationCache`` was written for pre-norm language models with
a tokenizer. Each method here that would be wrong, or would fail half-way, refuses before anything
is changed, and names what to use instead. ``docs/transformer-lens.md`` lists every method.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens import ActivationCache, HookedTransformer

from interp.sites import first_position
from interp.support.errors import UserError


def _refuses(name: str, why: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise UserError(f"{name} {why}")

    refuse.__name__ = name
    refuse.__doc__ = f"Refused: it {why}."
    return refuse


_NO_TEXT = "is about text, and there is no tokenizer: model.task.encode makes tokens of lists"
_NO_NETWORK = "would ask the network: interp.checkpoints.load_model opens what is here"
_DECODE = "is for text: interp.answers.decode.greedy_decode answers lists, with interventions"


class BorrowedModel(HookedTransformer):
    """``HookedTransformer``, where that is right."""

    config: Any  # a ModelConfig; type checkers take a module's attributes to be tensors or modules

    generate = _refuses("generate", _DECODE)
    generate_stream = _refuses("generate_stream", _DECODE)
    from_pretrained: Any = classmethod(_refuses("from_pretrained", _NO_NETWORK))
    from_pretrained_no_processing: Any = classmethod(
        _refuses("from_pretrained_no_processing", _NO_NETWORK)
    )
    load_sample_training_dataset = _refuses("load_sample_training_dataset", _NO_NETWORK)
    sample_datapoint = _refuses("sample_datapoint", _NO_NETWORK)
    set_tokenizer = _refuses("set_tokenizer", _NO_TEXT)
    to_tokens = _refuses("to_tokens", _NO_TEXT)
    to_string = _refuses("to_string", _NO_TEXT)
    to_str_tokens = _refuses("to_str_tokens", _NO_TEXT)
    to_single_token = _refuses("to_single_token", _NO_TEXT)
    to_single_str_token = _refuses("to_single_str_token", _NO_TEXT)
    get_token_position = _refuses("get_token_position", _NO_TEXT)
    init_weights = _refuses(
        "init_weights", "is for language models: SortTransformer(config, seed) has fresh weights"
    )
    center_writing_weights = _refuses(
        "center_writing_weights",
        "does not know the fixed positions and the embedding's bias of this model",
    )

    # -- weights ----------------------------------------------------------------------------------

    def fold_layer_norm(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens's, of a pre-norm model's weights."""
        self._check_folding(True, False)
        return super().fold_layer_norm(state_dict, *args, **kwargs)

    def process_weights_(
        self,
        fold_ln: bool = True,
        center_writing_weights: bool = True,
        center_unembed: bool = True,
        refactor_factored_attn_matrices: bool = False,
    ) -> None:
        """As TransformerLens's, where it changes no log-probability.

        Raises:
            UserError: for what would; before anything is changed.
        """
        self._check_folding(fold_ln, center_writing_weights)
        super().process_weights_(fold_ln, False, center_unembed, refactor_factored_attn_matrices)

    def load_and_process_state_dict(
        self,
        state_dict: Any,
        fold_ln: bool = True,
        center_writing_weights: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """As :meth:`process_weights_`."""
        self._check_folding(fold_ln, center_writing_weights)
        super().load_and_process_state_dict(state_dict, fold_ln, False, *args, **kwargs)

    def _check_folding(self, fold_ln: bool, center_writing_weights: bool) -> None:
        norm = self.config.norm
        if center_writing_weights:
            raise UserError(
                "center_writing_weights does not know the fixed positions and the embedding's bias "
                "of this model: give center_writing_weights=False"
            )
        if fold_ln and norm != "pre":
            raise UserError(
                f"fold_ln is right for pre-norm blocks only, and this model is of norm {norm!r}: "
                "give fold_ln=False (interp.methods.attribution reads through LayerNorms)"
            )

    def accumulated_bias(self, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens's; in a post-norm model no bias stays as it is in the stream."""
        refuse_post_norm(self, "accumulated_bias")
        return super().accumulated_bias(*args, **kwargs)

    def to(self, device_or_dtype: Any, print_details: Any = True) -> Any:  # type: ignore[override]
        """To a device; models are of float32 here.

        Args:
            print_details: TransformerLens's; or a dtype, as PyTorch's own ``to`` takes it.

        Raises:
            UserError: for another type, or a device that there is not; the model is where it was.
        """
        for each in (device_or_dtype, print_details):
            if isinstance(each, torch.dtype):
                check_precision(each)
        before = self.cfg.device
        try:
            return super().to(device_or_dtype, print_details is True)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            self.cfg.device = before  # it is written down before anything is moved
            reason = str(error).partition(chr(10))[0]
            raise UserError(f"the model cannot be moved to {device_or_dtype}: {reason}") from None

    def _apply(self, fn: Any, recurse: bool = True) -> Any:  # double(), half(), type(), ...
        check_precision(fn(torch.zeros(1, dtype=torch.float32)).dtype)
        return super()._apply(fn, recurse)

    # -- passes -----------------------------------------------------------------------------------

    def loss_fn(
        self,
        logits: Float[Tensor, "batch pos d_vocab_out"],
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"] | None = None,
        per_token: bool = False,
    ) -> Tensor:
        """Mean negative log-likelihood, in nats, of what SEP and the positions after it predict.

        Blanks included, as in the published loss; with ``per_token`` [batch, pos - 1], and 0 where
        nothing is to be predicted.
        """
        del attention_mask
        task = self.config.task
        targets = tokens[:, 1:].to(logits.device)
        positions = first_position() + torch.arange(targets.shape[1], device=logits.device)
        scored = (positions >= task.sep_pos) & (targets != task.pad)
        if not scored.any():
            raise UserError("there is no loss: these tokens end before anything is to be predicted")
        log_probs = logits[:, :-1].log_softmax(-1)
        picked = log_probs.gather(-1, targets.clamp(max=log_probs.shape[-1] - 1)[..., None])[..., 0]
        losses = -picked.masked_fill(~scored, 0.0)
        return losses if per_token else losses.sum() / scored.sum()

    def run_with_cache(self, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens's, with a :class:`BorrowedCache`."""
        out, cache = super().run_with_cache(*args, **kwargs)
        if isinstance(cache, ActivationCache):
            cache = BorrowedCache(cache.cache_dict, self, cache.has_batch_dim)
        return out, cache


def check_precision(dtype: torch.dtype) -> None:
    """Whether a model may be of ``dtype``.

    Raises:
        UserError: for all but float32.
    """
    if dtype is not torch.float32:
        raise UserError(
            f"models are of float32 here, not {str(dtype).removeprefix('torch.')}: for faster "
            "passes put torch.autocast around them"
        )


def refuse_post_norm(model: Any, name: str) -> None:
    """For what takes the stream for a sum.

    Raises:
        UserError: if the model is post-norm.
    """
    if model.config.norm == "post":
        raise UserError(
            f"{name} takes the residual stream for a sum of what was written to it; in a post-norm "
            "model LayerNorms come between: interp.methods.attribution chains them"
        )


class BorrowedCache(ActivationCache):
    """``ActivationCache``, where that is right."""

    def decompose_resid(self, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens's: parts that sum to the stream, of a model that is not post-norm."""
        refuse_post_norm(self.model, "decompose_resid")
        return super().decompose_resid(*args, **kwargs)

    def get_full_resid_decomposition(self, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens's, of a model that is not post-norm."""
        refuse_post_norm(self.model, "get_full_resid_decomposition")
        return super().get_full_resid_decomposition(*args, **kwargs)

    def logit_attrs(self, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens's, of a model that is not post-norm."""
        refuse_post_norm(self.model, "logit_attrs")
        return super().logit_attrs(*args, **kwargs)

    def apply_slice_to_batch_dim(self, *args: Any, **kwargs: Any) -> BorrowedCache:
        """As TransformerLens's, but what comes out is of this class, too."""
        some = super().apply_slice_to_batch_dim(*args, **kwargs)
        return BorrowedCache(some.cache_dict, self.model, some.has_batch_dim)

    def apply_ln_to_stack(self, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens's, of a model that is not post-norm."""
        refuse_post_norm(self.model, "apply_ln")
        return super().apply_ln_to_stack(*args, **kwargs)
