"""The sort transformer: a real ``HookedTransformer`` that knows the task's layout.

    model = SortTransformer(ModelConfig(), seed=0)
    batch = model.task.encode([[3, 1, 1]])
    logits, cache = model.run_with_cache(batch.tokens)
    cache["blocks.1.attn.hook_pattern"]         # [batch, head, query, key]

It differs from its parent in five ways, each needed by the task:

- padding is never attended to, without the caller passing a mask;
- attention may be restricted further, for good (``ModelConfig.sight``);
- positions are absolute: left padding takes up positions (the parent shifts them away);
- blocks may normalise after the residual sum (post-norm), under the same hook names;
- what cannot be right is refused: unknown tokens, too long a sequence, padding inside a list.
"""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformer_lens import HookedTransformerConfig
from transformer_lens.components import MLP, Attention, Embed, PosEmbed, TransformerBlock

from interp.borrowed import BorrowedModel, check_precision
from interp.config import ModelConfig
from interp.passes.bare import own_blocked, sinusoids
from interp.passes.untouched import Blueprint, Scoped, touch
from interp.sites import FIRST_POSITION
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import SortTask


class SortTransformer(BorrowedModel):
    """A decoder-only transformer for :class:`SortTask`, with a hook on every activation.

    ``run_with_cache``, ``run_with_hooks``, ``add_hook``, ``past_kv_cache`` and ``ActivationCache``
    behave as they do for any ``HookedTransformer``. Tokens are [batch, pos], laid out as in
    :mod:`interp.task`; a prefix of the full sequence is fine. Logits are [batch, pos, d_vocab_out].
    """

    # Type checkers take a module's attributes to be tensors or modules, and allow little on them.
    embed: Any
    pos_embed: Any
    blocks: Any
    ln_final: Any
    unembed: Any
    blocked: Bool[Tensor, "query key"] | None
    """[n_ctx, n_ctx], True where the model may not attend by its ``sight``; None if all is seen."""

    def __init__(
        self, config: ModelConfig, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        check_precision(torch.get_default_dtype())
        with warnings.catch_warnings():
            # True, and settled: we stay below transformer-lens 4 (see pyproject.toml).
            warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
            super().__init__(_hooked_config(config), move_to_device=False)
        self.config = config
        self.blueprint: Blueprint | None = None
        self.embed = _TokenEmbed(self.cfg, config.embed_bias)
        self.pos_embed = _AbsolutePosEmbed(self.cfg, config)
        if config.norm == "post":
            blocks = [_PostNormBlock(self.cfg, layer) for layer in range(config.n_layers)]
            self.blocks = nn.ModuleList(blocks)
        if not config.d_mlp:
            for block in self.blocks:
                block.mlp = _NoNeurons(self.cfg)
        if config.norm != "pre":  # a stream that is not normalised at its end
            self.ln_final = nn.Identity()
        self.register_buffer("blocked", own_blocked(config), persistent=False)
        if self.blocked is not None:
            for layer, block in enumerate(self.blocks):
                block.attn = _RestrictedAttention(self.cfg, layer, self.blocked)
        self.setup()  # name the hook points of the modules put in above
        initialise(self, seed)
        self.to(torch.device(device), print_details=False)
        self.blueprint = Blueprint.of(self, SortTransformer)

    @property
    def task(self) -> SortTask:
        return self.config.task

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:
        """The effective embedding: what a token adds to the stream, any bias included."""
        return self.embed.effective()

    def forward(
        self,
        input: Any,  # tokens [batch, pos] or a residual stream; checked below, with better messages
        *args: Any,
        tokens: Int[Tensor, "batch pos"] | None = None,
        start_at_layer: int | None = None,
        attention_mask: Int[Tensor, "batch pos"] | None = None,
        past_kv_cache: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As ``HookedTransformer.forward``, with the padding masked by itself.

        From a residual stream (``start_at_layer``), pass the ``tokens`` it belongs to.

        Raises:
            UserError: for tokens that this model cannot be given.
        """
        if torch.compiler.is_compiling():
            _refuse_hooks_where_compiled(self)
        _check_asked(args, kwargs)
        if attention_mask is not None:
            raise UserError(
                "padding is masked by itself; to close more, interp.interventions.Mask says which "
                "queries may not attend to which keys"
            )
        if start_at_layer is None:
            tokens = self._checked_tokens(input, past_kv_cache)
        elif tokens is None:
            raise UserError(
                "starting from a residual stream needs tokens=... as well: "
                "without them left padding would be attended to"
            )
        forward: Any = super().forward  # its overloads would have us repeat every argument
        before = FIRST_POSITION.set(_past(past_kv_cache))
        try:
            return forward(
                input,
                *args,
                tokens=tokens if start_at_layer is not None else None,
                start_at_layer=start_at_layer,
                attention_mask=(tokens != self.task.pad).int(),
                past_kv_cache=past_kv_cache,
                **kwargs,
            )
        finally:
            FIRST_POSITION.reset(before)

    def __deepcopy__(self, memo: dict[int, Any]) -> SortTransformer:
        """A model of its own. What acts only inside a ``with`` block stays with this one:
        ``intervene``, and the hooks of ``hooks``, ``run_with_hooks`` and ``run_with_cache``. Hooks
        that were added to stay are copied."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        for module in copied.modules():
            hooks: dict[int, Any] = module._forward_hooks
            for handle in [key for key, hook in hooks.items() if isinstance(hook, Scoped)]:
                del hooks[handle]
        for level in range(1, copied.context_level + 1):
            copied.remove_all_hook_fns("both", level=level)
        copied.context_level, copied.is_caching = 0, False
        return copied

    def _checked_tokens(self, tokens: Any, past_kv_cache: Any) -> Int[Tensor, "batch pos"]:
        if not isinstance(tokens, Tensor) or tokens.is_floating_point():
            raise UserError(
                f"the input must be a tensor of tokens [batch, pos], not {type(tokens).__name__}; "
                "model.task.encode([[3, 1, 4]]).tokens makes one"
            )
        if tokens.ndim == 1:
            tokens = tokens[None]
        if tokens.ndim != 2 or not tokens.numel():
            shape = tuple(tokens.shape)
            raise UserError(f"tokens are [batch, pos], at least one of each, not of shape {shape}")
        past, task = _past(past_kv_cache), self.task
        if past + tokens.shape[1] > task.n_ctx:
            raise UserError(
                f"the sequence has {past + tokens.shape[1]} positions; this model takes at most "
                f"{task.n_ctx} (lists of {task.lengths_words}, "
                f"{task.n_blanks} blanks)"
            )
        if tokens.numel() and (int(tokens.min()) < 0 or int(tokens.max()) >= task.d_vocab):
            wrong = tokens[(tokens < 0) | (tokens >= task.d_vocab)][0].item()
            others = range(task.n_symbols, task.d_vocab)
            raise UserError(
                f"{wrong} is no token: {task.symbols.word}s are 0 to {task.n_symbols - 1}, then "
                + ", ".join(f"{i} = {task.token_label(i)}" for i in others)
            )
        real = tokens != task.pad
        if ((~real[:, :-1] & real[:, 1:]).sum(1) > 1 - real[:, 0].int()).any():
            raise UserError(
                "padding in the middle of a sequence: PAD may only precede the list or follow the "
                "answer; model.task.encode lays lists out"
            )
        return tokens


@torch.compiler.disable
def _refuse_hooks_where_compiled(model: SortTransformer) -> None:
    # Called from compiled code in each of its passes: that alone would call no hook.
    if found := touch(model):
        raise UserError(
            f"a compiled model does not call hooks that were added later, such as {found}: take it "
            "away, or use the model that was compiled"
        )


_ABOUT_TEXT = ("prepend_bos", "padding_side", "shortformer_pos_embed")
_RETURNED = ("logits", "loss", "both", None)


def _check_asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Whether arguments of ``HookedTransformer.forward`` mean anything here."""
    if len(args) > 2:
        raise UserError("of the arguments after loss_per_token give each by its name")
    for name in _ABOUT_TEXT:
        if name in kwargs:
            raise UserError(f"{name} is about text, or another model, and would be ignored here")
    wanted = args[0] if args else kwargs.get("return_type", "logits")
    if wanted not in _RETURNED:
        raise UserError(f"return_type is one of {_RETURNED}, not {wanted!r}")


def _past(past_kv_cache: Any) -> int:
    return 0 if past_kv_cache is None else past_kv_cache[0].past_keys.shape[1]


def _hooked_config(config: ModelConfig) -> HookedTransformerConfig:
    return HookedTransformerConfig(
        n_layers=config.n_layers,
        d_model=config.d_model,
        n_ctx=config.task.n_ctx,
        n_heads=config.n_heads,
        d_head=config.d_head,
        d_mlp=config.d_mlp,
        d_vocab=config.task.d_vocab,
        d_vocab_out=config.task.d_vocab_out,
        act_fn=config.activation,
        eps=config.ln_eps,
        normalization_type=None if config.norm == "none" else "LN",
        positional_embedding_type="standard",
        attention_dir="causal",
        default_prepend_bos=False,
        init_weights=False,
        device="cpu",
    )


class _TokenEmbed(Embed):
    """A table of embeddings, optionally with the bias of the published Linear embedding."""

    def __init__(self, cfg: HookedTransformerConfig, bias: bool) -> None:
        super().__init__(cfg)
        self.b_E = nn.Parameter(torch.zeros(cfg.d_model)) if bias else None

    def effective(self) -> Float[Tensor, "d_vocab d_model"]:
        return self.W_E if self.b_E is None else self.W_E + self.b_E

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return self.effective()[tokens]


class _AbsolutePosEmbed(PosEmbed):
    """Position p gets row p, whatever is masked; an offset is already in the table."""

    def __init__(self, cfg: HookedTransformerConfig, config: ModelConfig) -> None:
        super().__init__(cfg)
        if config.positions == "sinusoidal":
            del self.W_pos
            table = sinusoids(config.task.position_ids(), config.d_model)
            self.register_buffer("W_pos", table, persistent=False)  # the config says it all

    def forward(
        self,
        tokens: Int[Tensor, "batch pos"],
        past_kv_pos_offset: int = 0,
        attention_mask: Int[Tensor, "batch all_pos"] | None = None,
    ) -> Float[Tensor, "batch pos d_model"]:
        n_lists, n_pos = tokens.shape
        rows = self.W_pos[past_kv_pos_offset : past_kv_pos_offset + n_pos]
        return rows.expand(n_lists, n_pos, -1).clone()


class _RestrictedAttention(Attention):
    """Attention with some queries closed to some keys, given by absolute positions."""

    def __init__(
        self, cfg: HookedTransformerConfig, layer: int, blocked: Bool[Tensor, "query key"]
    ) -> None:
        super().__init__(cfg, "global", layer)
        self.blocked: Tensor
        self.register_buffer("blocked", blocked, persistent=False)  # the config says it all

    def apply_causal_mask(
        self,
        attn_scores: Float[Tensor, "batch head query key"],
        past_kv_pos_offset: int = 0,
        attention_mask: Int[Tensor, "batch key"] | None = None,
    ) -> Float[Tensor, "batch head query key"]:
        scores = super().apply_causal_mask(attn_scores, past_kv_pos_offset, attention_mask)
        n_queries, n_keys = scores.shape[-2:]
        # With a KV cache the queries are the last of the keys' positions.
        rows = slice(past_kv_pos_offset, past_kv_pos_offset + n_queries)
        return scores.masked_fill(self.blocked[rows, :n_keys], -torch.inf)


class _PostNormBlock(TransformerBlock):
    """``x = ln1(x + attn(x)); x = ln2(x + mlp(x))``, as in ``nn.TransformerEncoderLayer``.

    Hook names are the parent's. ``hook_resid_mid`` and ``hook_resid_post`` are *after* their
    LayerNorm; ``hook_attn_out`` and ``hook_mlp_out`` are what is added before it.
    """

    def forward(
        self,
        resid_pre: Float[Tensor, "batch pos d_model"],
        shortformer_pos_embed: Tensor | None = None,
        past_kv_cache_entry: Any = None,
        attention_mask: Int[Tensor, "batch all_pos"] | None = None,
    ) -> Float[Tensor, "batch pos d_model"]:
        resid_pre = self.hook_resid_pre(resid_pre)
        per_head = resid_pre[:, :, None].expand(-1, -1, self.cfg.n_heads, -1)
        if self.cfg.use_split_qkv_input:
            inputs = [
                hook(per_head.clone())
                for hook in (self.hook_q_input, self.hook_k_input, self.hook_v_input)
            ]
        else:
            attn_in = self.hook_attn_in(per_head.clone()) if self.cfg.use_attn_in else resid_pre
            inputs = [attn_in] * 3
        attn_out = self.attn(
            *inputs, past_kv_cache_entry=past_kv_cache_entry, attention_mask=attention_mask
        )
        attn_out = self.hook_attn_out(attn_out)
        resid_mid = self.hook_resid_mid(self.ln1(resid_pre + attn_out))
        mlp_in = self.hook_mlp_in(resid_mid.clone()) if self.cfg.use_hook_mlp_in else resid_mid
        mlp_out = self.hook_mlp_out(self.mlp(mlp_in))
        return self.hook_resid_post(self.ln2(resid_mid + mlp_out))


class _NoNeurons(MLP):
    """An MLP of an attention-only model, under the usual hooks; its parent cannot be so small."""

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return F.linear(self.hook_post(self.hook_pre(x[..., :0])), self.W_out.T, self.b_out)


def initialise(model: SortTransformer, seed: int) -> None:
    """Fresh weights: matrices normal with standard deviation 0.8 / sqrt(d_model), biases zero.

    The scale is ``HookedTransformer``'s own for small models, except that tokens embed with a
    standard deviation of 1: beside sinusoids, whose root mean square is 0.7, the small scale
    drowns them, and learning starts hundreds of steps later. PAD embeds to zero. Each parameter has
    a stream of its own, so that models of one seed share what they have in common.
    """
    small = 0.8 / math.sqrt(model.cfg.d_model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            kind = name.rsplit(".", 1)[-1]
            if ".act_fn." in name:  # the numbers of an activation begin as it says
                continue
            if kind == "w":  # a LayerNorm's gain
                parameter.fill_(1.0)
            elif kind.startswith("b"):
                parameter.zero_()
            else:
                std = 1.0 if kind == "W_E" else small
                parameter.normal_(0.0, std, generator=stream("init", seed, name))
        model.embed.W_E[model.task.pad] = 0.0
