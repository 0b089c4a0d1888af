"""One activation patching sweep, by TransformerLens and by ours, on the same pairs in one process.

    python -m benchmarks.patching                   # 8 pairs of lists of 48 digits, model `blanks`
    python -m benchmarks.patching --turns 5 --threads 2 --json

Denoising, the three streams (``resid_pre``, ``attn_out``, ``mlp_out``) x layers x positions. Two
arms take turns, each from tokens to the table of mean logit differences, its own runs of the clean
and corrupted lists included:

    lens    transformer_lens.patching.get_act_patch_block_every: a full forward pass of all pairs
            for every cell, up to the last row that is read (a longer sequence would only cost it)
    ours    interp.methods.patching.patched_logits: restarted in the patched layer, changed rows
            only, none where a patch can change nothing; it keeps the effect of every single pair

Same weights, float32, number of threads, no gradients. Lists are of the model's maximum length by
default, so that neither arm has padding. Times mean something on an otherwise idle machine only.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from jaxtyping import Float

from interp.support.cli import note, run_command
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import torch

    from benchmarks.common import Timing
    from interp.answers.pairs import Pairs
    from interp.model import SortTransformer
else:
    torch = lazy_import("torch")

PROG = "python -m benchmarks.patching"
TOLERANCE = 1e-4  # of a logit difference, between the arms
_ARMS = {"lens": "get_act_patch_block_every", "ours": "patched_logits"}


@dataclass(frozen=True)
class BenchmarkArgs:
    """Time one sweep of activation patching: TransformerLens's own, and ours."""

    model: str = "blanks"  # a shipped model, a run folder or a checkpoint
    pairs: int = 8  # pairs of lists
    length: int = 48  # digits per list (the model's longest if that is shorter)
    turns: int = 3  # timed sweeps of each arm, after one to check and to warm up
    threads: int = 2  # processor threads
    seed: int = 0  # of the pairs
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        at_least(self, pairs=1, length=2, turns=1, threads=1)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(BenchmarkArgs, benchmark_command, PROG, argv)


def benchmark_command(args: BenchmarkArgs) -> None:
    result = benchmark(args)
    print(json.dumps(result) if args.json else _in_words(result))
    if not result["equal"]:
        raise UserError("the two arms disagree, so their times mean nothing")


def benchmark(args: BenchmarkArgs) -> dict[str, Any]:
    """Check that both arms find the same, then time them."""
    from benchmarks.common import matmul_rate, processor_features
    from interp.answers.pairs import sample_pairs
    from interp.checkpoints import load_model

    torch.set_num_threads(args.threads)
    model = load_model(args.model).model
    length = min(args.length, model.task.max_len)
    pairs = sample_pairs(model.task, args.pairs, length, args.seed)
    sweeps: dict[str, Callable[[], torch.Tensor]] = {
        "lens": lambda: lens_sweep(model, pairs),
        "ours": lambda: our_sweep(model, pairs),
    }
    counted = {name: _counted(sweep) for name, sweep in sweeps.items()}
    operations = {name: total for name, (_, total) in counted.items()}
    apart = float((counted["lens"][0] - counted["ours"][0]).abs().max())
    timings = _time(sweeps, args.turns)
    rate = matmul_rate(torch.float32)
    return {
        "model": args.model,
        "pairs": args.pairs,
        "length": length,
        "cells": counted["ours"][0].numel(),
        "largest_difference": apart,
        "equal": apart <= TOLERANCE,
        "arms": {
            name: {
                "median_s": timing.median,
                "fastest_s": timing.fastest,
                "all_s": list(timing.seconds),
                "operations": operations[name],
                "fraction_of_matmul_rate": operations[name] / timing.median / rate,
            }
            for name, timing in timings.items()
        },
        "ratio": timings["lens"].median / timings["ours"].median,
        "matmul_rate": rate,
        "threads": args.threads,
        "turns": args.turns,
        "processor": processor_features(),
        "torch": torch.__version__,
    }


def _time(sweeps: dict[str, Callable[[], torch.Tensor]], turns: int) -> dict[str, Timing]:
    from benchmarks.common import Timing, take_turns

    arms: dict[str, Callable[[int], None]] = {
        name: partial(_turn, sweep) for name, sweep in sweeps.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for turn, name, took in take_turns(arms, turns, warm_up=0):  # counting has warmed both up
        note(f"turn {turn + 1}/{turns}  {name}  {took:.3f} s")
        seconds[name].append(took)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}


def _turn(sweep: Callable[[], torch.Tensor], turn: int) -> None:
    sweep()


def _counted(sweep: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, int]:
    """An arm's table, and the operations of the matrix products that it really does."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        table = sweep()
    return table, counter.get_total_flops()


# -- the arms -----------------------------------------------------------------------------------


def lens_sweep(
    model: SortTransformer, pairs: Pairs
) -> Float[torch.Tensor, "component layer position"]:
    """Mean logit differences, as the library's own function gives them."""
    from transformer_lens.patching import get_act_patch_block_every

    stop = int(pairs.rows.max()) + 1
    each = torch.arange(len(pairs))

    def metric(logits: torch.Tensor) -> torch.Tensor:
        picked = logits[each, pairs.rows]
        return (picked[each, pairs.answers[:, 0]] - picked[each, pairs.answers[:, 1]]).mean()

    lens: Any = model
    with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):  # it draws progress bars
        _, cache = lens.run_with_cache(pairs.clean[:, :stop])
        table = get_act_patch_block_every(lens, pairs.corrupt[:, :stop], cache, metric)
    return table[..., pairs.task.max_len - pairs.length :]


def our_sweep(
    model: SortTransformer, pairs: Pairs
) -> Float[torch.Tensor, "component layer position"]:
    """The same table."""
    from interp.methods.pair_runs import logit_difference
    from interp.methods.patching import patched_logits, record
    from interp.passes.packed import Window
    from interp.sites import STREAM, Site

    task, n_layers = pairs.task, model.cfg.n_layers
    view = Window(task, pairs.length, task.first_output_row)
    clean, corrupt = (record(model, tokens, view) for tokens in (pairs.clean, pairs.corrupt))
    rows, size = pairs.rows - view.start, int(pairs.rows.max()) + 1 - view.start
    single = torch.eye(view.stop - view.start, dtype=torch.bool)[:size]
    places = single.expand(len(pairs), *single.shape)

    def cells(site: Site) -> torch.Tensor:
        logits = patched_logits(model, site, corrupt, clean, places, rows)
        return logit_difference(logits, pairs.answers).mean(0)

    table = [
        torch.stack([cells(Site(part, layer)) for layer in range(n_layers)]) for part in STREAM
    ]
    return torch.stack(table)


# -- in words -----------------------------------------------------------------------------------


def _in_words(result: dict[str, Any]) -> str:
    lines = [
        f"{result['pairs']} pairs of lists of {result['length']} digits, model {result['model']}; "
        f"{result['cells']} cells; {result['threads']} threads; median of {result['turns']} turns",
        f"processor: {result['processor']}; torch {result['torch']}; float32",
        "",
        f"      {'':28} {'s/sweep':>9} {'fastest':>9} {'GFLOP':>9} {'of matmul rate':>15}",
    ]
    for name, arm in result["arms"].items():
        lines.append(
            f"{name}  {_ARMS[name]:28} {arm['median_s']:9.3f} {arm['fastest_s']:9.3f} "
            f"{arm['operations'] / 1e9:9.1f} {100 * arm['fraction_of_matmul_rate']:13.0f} %"
        )
    verdict = "equal" if result["equal"] else "NOT EQUAL"
    return "\n".join(
        [
            *lines,
            "",
            f"ours is {result['ratio']:.1f} times as fast; a large product runs at "
            f"{result['matmul_rate'] / 1e9:.0f} GFLOP/s",
            f"results {verdict}: logit differences at most {result['largest_difference']:.1e} "
            f"apart (allowed {TOLERANCE:.0e})",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
