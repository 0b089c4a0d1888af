"""What ``training.evaluate`` computes: rates of a model's answers, and a check by decoding."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from interp.answers.ablation import published_mask
from interp.answers.decode import Answers, decode_stepwise, score
from interp.checkpoints import load_model
from interp.interventions import Mask
from interp.lists import read
from interp.model import SortTransformer
from interp.stats import Estimate
from interp.support.cli import note
from interp.support.device import pick_device
from interp.support.errors import UserError
from interp.task import SortBatch, Task
from interp.transformer import Transformer
from training.evaluate import EvaluateArgs

Masked = Literal["nothing", "blanks from outputs", "blanks from outputs and from the last blank"]


def evaluate_command(args: EvaluateArgs) -> None:
    loaded = load_model(args.model, pick_device(args.device))
    lists = _own_or_number(args.lists, loaded.model.task)
    result = {
        "model": {"name": loaded.name, "hash": loaded.hash},
        "lists": "held-out" if isinstance(args.lists, int) else str(args.lists),
        **evaluate(
            loaded.model,
            lists,
            args.seed,
            mask_blanks=args.mask_blanks,
            mask_last_blank=args.mask_row_97,
            distinct=args.distinct_digits,
        ),
    }
    if args.decode:
        result["decode"] = check_decoding(loaded.model, lists, args)
    print(json.dumps(result) if args.json else _in_words(result))


def _own_or_number(lists: int | Path, task: Task) -> int | SortBatch:
    """The lists of a file.

    Raises:
        UserError: naming the line that is no list for this task.
    """
    if isinstance(lists, int):
        return lists
    return task.encode(read(lists, task.symbols, task.max_len, task.min_len))


def evaluate(
    model: Transformer,
    lists: int | SortBatch,
    seed: int = 0,
    *,
    mask_blanks: bool = False,
    mask_last_blank: bool = False,
    distinct: int | None = None,
) -> dict[str, Any]:
    """Exact match and digit accuracy on these lists, in all and by length.

    Args:
        lists: or how many held-out ones.
        seed: of held-out lists, and of the bootstrap.
        distinct: digits in each held-out list; see ``SortTask.held_out``.

    Raises:
        UserError: if blanks are to be masked in a model that has none.
    """
    batch = _batch(model.task, lists, seed, distinct).to(model.W_U.device)
    answers = score(model, batch, interventions=_masks(model, mask_blanks, mask_last_blank))
    masked: Masked = "nothing"
    if mask_blanks:
        masked = "blanks from outputs"
    if mask_blanks and mask_last_blank:
        masked = "blanks from outputs and from the last blank"
    any_digits = model.task.n_symbols if isinstance(lists, int) else None
    return {
        "seed": seed,
        "distinct_digits": any_digits if distinct is None else distinct,
        "masked": masked,
        **_rates(answers, seed),
        "by_length": {
            str(length): _rates(answers.of_length(length), seed)
            for length in sorted(set(answers.lengths.tolist()))
        },
    }


def _batch(task: Task, lists: int | SortBatch, seed: int, distinct: int | None) -> SortBatch:
    return task.held_out(lists, seed, distinct) if isinstance(lists, int) else lists


def _masks(model: Transformer, mask_blanks: bool, mask_last_blank: bool) -> list[Mask]:
    if not mask_blanks:
        return []
    if not model.task.n_blanks:
        raise UserError("--mask-blanks: this model has no blanks to mask")
    return published_mask(model.task, mask_last_blank)


def _rates(answers: Answers, seed: int) -> dict[str, Any]:
    return {
        "exact_match": answers.exact_match().to_dict(),
        "digit_accuracy": answers.digit_accuracy(seed).to_dict(),
    }


_DECODED_AT_ONCE = 250


def check_decoding(
    model: SortTransformer, lists: int | SortBatch, args: EvaluateArgs
) -> dict[str, int]:
    """Greedy decoding token by token with the KV cache, against the single forward pass.

    The two share no code: one calls the hooked model, the other computes from its parameters.
    """
    task = model.task
    masks = _masks(model, args.mask_blanks, args.mask_row_97)
    batch = _batch(task, lists, args.seed, args.distinct_digits).to(model.W_U.device)
    expected = score(model, batch, interventions=masks).exact.tolist()
    agree = exact = 0
    starts = range(0, len(batch), _DECODED_AT_ONCE)
    for start in tqdm(starts, desc="decoding", disable=not sys.stderr.isatty(), leave=False):
        part = batch[start : start + _DECODED_AT_ONCE]
        shown = [task.decode_list(tokens) for tokens in part.tokens]
        answers = decode_stepwise(model, shown, interventions=masks)
        for number, (values, answer) in enumerate(zip(shown, answers, strict=True), start):
            right = answer == task.answer(values)
            exact += right
            agree += right == expected[number]
    if agree < len(batch):
        note(f"decoding and the single pass disagree on {len(batch) - agree} lists")
    return {"lists": len(batch), "exact": exact, "agree": agree}


def _in_words(result: dict[str, Any]) -> str:
    def show(rates: dict[str, Any]) -> str:
        exact, digits = (Estimate(**rates[k]) for k in ("exact_match", "digit_accuracy"))
        return f"lists exact {exact.percent(2):>24}   digits right {digits.percent(3)}"

    n = result["exact_match"]["n"]
    drawn = f"seed {result['seed']}, drawn from {result['distinct_digits']} symbols"
    source = drawn if result["lists"] == "held-out" else f"of {result['lists']}"
    lines = [
        f"{result['model']['name']} ({result['model']['hash']}), {n:,} lists, {source}, "
        f"masked: {result['masked']}",
        f"  all lengths  {show(result)}",
    ]
    lines += [
        f"  length {length:>4}  {show(rates)}" for length, rates in result["by_length"].items()
    ]
    if "decode" in result:
        d = result["decode"]
        lines.append(
            f"  decoded token by token: {d['exact']:,} of {d['lists']:,} exact; "
            f"agrees with the single pass on {d['agree']:,}"
        )
    return "\n".join(lines)
