"""One training step, written plainly and as we run it, on the same lists in one process.

    python -m benchmarks.training                   # 342 lists of up to 48 digits, 49 blanks
    python -m benchmarks.training --steps 10 --threads 2 --json

Arms take turns. A step is: make the lists, forward, loss, backward, optimiser.

    a   nn.TransformerEncoder      the published network, dropout 0.1, float32, all 146 positions,
                                   a boolean mask for every head of every list, Adam
    b   HookedTransformer loop     the same network, but no dropout (the class has none), float32,
                                   all 146 positions, Adam
    c   ours, recipe `original`    the network, dropout and optimiser of (a), in our Trainer
    d   ours, no dropout           (c) without dropout: the work of (b)
    e   ours, recipe `stable`      pre-norm, no dropout, AdamW, clipping, at the batch size of (a)
    f   (c) with plain kernels     PyTorch's operators alone, where (c) to (e) have ours in C++
    g   (d) with plain kernels

(c) to (g) skip padding and rows that nothing reads, run length-sorted micro-batches on one core
each, and use bfloat16 where the processor multiplies it natively. No arm measures accuracy. Times
mean something on an otherwise idle machine only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from interp.support.cli import note, run_command
from interp.support.errors import at_least
from training.recipes import ORIGINAL, STABLE, TrainConfig

if TYPE_CHECKING:
    import torch

    from benchmarks.common import Timing
    from interp.config import ModelConfig
    from interp.model import SortTransformer
    from training.loop import Trainer

PROG = "python -m benchmarks.training"
_ARMS = {
    "a": "nn.TransformerEncoder, dropout",
    "b": "HookedTransformer loop",
    "c": "ours, original recipe",
    "d": "ours, original without dropout",
    "e": "ours, stable recipe",
    "f": "(c) with plain kernels",
    "g": "(d) with plain kernels",
}
_RATIOS = {
    ("a", "c"): "the same network, dropout and optimiser",
    ("b", "d"): "both without dropout",
    ("a", "e"): "another recipe: pre-norm, no dropout, clipping",
    ("f", "c"): "what the kernels in C++ give, with dropout",
    ("g", "d"): "and without",
}


@dataclass(frozen=True)
class BenchmarkArgs:
    """Time a training step: plain PyTorch, a plain HookedTransformer loop, and ours."""

    steps: int = 5  # timed steps of each arm, after one to warm up
    threads: int = 0  # processor threads (0: all cores)
    batch_size: int = 342  # lists per step
    max_len: int = 48  # longest list
    no_blanks: bool = False  # without blanks
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        at_least(self, steps=1, batch_size=1)
        self.config(STABLE)  # its own checks of the others

    def config(self, recipe: TrainConfig) -> TrainConfig:
        """``recipe``, on the same lists and threads as every arm."""
        return replace(
            recipe,
            max_len=self.max_len,
            no_blanks=self.no_blanks,
            batch_size=self.batch_size,
            threads=self.threads,
            device="cpu",
        )


def main(argv: Sequence[str] | None = None) -> None:
    run_command(BenchmarkArgs, benchmark_command, PROG, argv)


def benchmark_command(args: BenchmarkArgs) -> None:
    result = benchmark(args)
    print(json.dumps(result) if args.json else _in_words(result))


def benchmark(args: BenchmarkArgs) -> dict[str, Any]:
    """Time all arms; see the module's docstring for what they are."""
    import torch

    from benchmarks.common import matmul_rate

    threads = args.threads or torch.get_num_threads()
    original = args.config(ORIGINAL)
    trainers = our_trainers(original, args.config(STABLE))
    steps: dict[str, Callable[[int], None]] = {
        "a": plain_encoder_step(original, trainers["c"]),
        "b": plain_hooked_step(original, trainers["c"]),
        **{name: our_step(trainer) for name, trainer in trainers.items()},
    }
    torch.set_num_threads(threads)  # a trainer on one thread takes the process to one
    rates = {"float32": matmul_rate(torch.float32)}
    if trainers["c"].precision == "bfloat16":
        rates["bfloat16"] = matmul_rate(torch.bfloat16)
    timings = _time(steps, args.steps)
    return {
        **_comparison(timings, args.batch_size),
        **_efficiency(trainers, timings, rates, args.steps),
        **_conditions(args, threads),
        "kernels": trainers["c"].kernel_words,
    }


def our_trainers(original: TrainConfig, stable: TrainConfig) -> dict[str, Trainer]:
    """(c) to (g); (f) and (g) only where (c) and (d) are something else."""
    from training.loop import Trainer

    configs = {"c": original, "d": replace(original, dropout=0.0), "e": stable}
    trainers = {name: Trainer(config) for name, config in configs.items()}
    for plain, name in (("f", "c"), ("g", "d")):
        if trainers[name].kernel != "plain":
            trainers[plain] = Trainer(replace(configs[name], kernel="plain"))
    return trainers


def _time(steps: dict[str, Callable[[int], None]], turns: int) -> dict[str, Timing]:
    from benchmarks.common import Timing, take_turns

    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn, name, took in take_turns(steps, turns):
        if turn < 0:
            note(f"warm-up  {name}")
        else:
            note(f"step {turn + 1}/{turns}  {name}  {took:.3f} s")
            seconds[name].append(took)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}


def _comparison(timings: dict[str, Timing], batch_size: int) -> dict[str, Any]:
    """Each arm's times, and the ratios of medians."""
    return {
        "arms": {name: _arm(name, timing, batch_size) for name, timing in timings.items()},
        "ratios": {
            f"{slow}/{fast}": timings[slow].median / timings[fast].median
            for slow, fast in _RATIOS
            if slow in timings
        },
    }


def _efficiency(
    trainers: dict[str, Trainer],
    timings: dict[str, Timing],
    rates: dict[str, float],
    turns: int,
) -> dict[str, Any]:
    """What a step needs, against the rate of one large product."""
    trainer = trainers["c"]
    operations = [
        needed_operations(trainer.config.model(), trainer.batch(step + 1).lengths.tolist())
        for step in range(turns)
    ]
    return {
        "operations_needed_per_step": sum(operations) / len(operations),
        "matmul_rates": rates,
        "fraction_of_matmul_rate": {
            name: sum(operations) / sum(timings[name].seconds) / rates[trainer.precision]
            for name in trainers
        },
        "precision": trainer.precision,
    }


def _conditions(args: BenchmarkArgs, threads: int) -> dict[str, Any]:
    import torch

    from benchmarks.common import processor_features

    return {
        "threads": threads,
        "batch_size": args.batch_size,
        "steps": args.steps,
        "max_len": args.max_len,
        "n_blanks": args.config(ORIGINAL).sort_task().n_blanks,
        "processor": processor_features(),
        "torch": torch.__version__,
    }


def _arm(name: str, timing: Timing, batch_size: int) -> dict[str, Any]:
    return {
        "what": _ARMS[name],
        "median_s": timing.median,
        "fastest_s": timing.fastest,
        "lists_per_s": batch_size / timing.median,
        "all_s": list(timing.seconds),
    }


# -- the arms -----------------------------------------------------------------------------------


def plain_encoder_step(config: TrainConfig, lists: Trainer) -> Callable[[int], None]:
    """(a): what a reader of the PyTorch manual would write."""
    import torch

    from interp.algoformer import ReferenceModel

    model = ReferenceModel(config.model(), config.dropout).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)

    def step(number: int) -> None:
        tokens = lists.batch(number).tokens
        optimizer.zero_grad()
        _loss(model(tokens), tokens, config).backward()
        optimizer.step()

    return step


def plain_hooked_step(config: TrainConfig, lists: Trainer) -> Callable[[int], None]:
    """(b): a loop around ``SortTransformer.forward``, which computes all positions."""
    import torch

    from interp.model import SortTransformer

    model: SortTransformer = SortTransformer(config.model())
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)

    def step(number: int) -> None:
        tokens = lists.batch(number).tokens
        optimizer.zero_grad()
        _loss(model(tokens).log_softmax(-1), tokens, config).backward()
        optimizer.step()

    return step


def our_step(trainer: Trainer) -> Callable[[int], None]:
    """(c) to (g)."""

    def step(number: int) -> None:
        assert trainer.step == number, "all arms must see the same lists"
        trainer.update()

    return step


def _loss(log_probs: torch.Tensor, tokens: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    """The published loss: a mean over all rows from SEP on; after the answer they count zero."""
    from torch.nn import functional as F

    from interp.task import PAD

    task = config.sort_task()
    rows = log_probs[:, task.sep_pos :].flatten(0, 1)
    targets = task.targets(tokens)[:, task.sep_pos :].flatten()
    return F.nll_loss(rows, targets, ignore_index=PAD, reduction="sum") / len(targets)


# -- what a step needs --------------------------------------------------------------------------


def needed_operations(config: ModelConfig, lengths: Sequence[int]) -> int:
    """Floating-point operations that a step on lists of these lengths cannot do without.

    Counted are the multiplications and additions of matrix products that reach the loss: no
    padding, no attention to later positions, and in the last layer, queries, attention output and
    MLP of scored rows only. Norms, softmax, activations, embedding and optimiser are left out.
    Backward needs two products for each of forward (by the input, and by the weights), hence 3.

    A list of n digits takes part with ``2 n + n_blanks`` positions (digits, SEP, blanks, and
    outputs but the last), of which the last ``n + n_blanks`` are scored.
    """
    heads = config.n_heads * config.d_head
    total = 0
    for n in lengths:
        size, scored = 2 * n + config.task.n_blanks, n + config.task.n_blanks
        for layer in range(config.n_layers):
            rows = scored if layer == config.n_layers - 1 else size
            pairs = rows * (2 * size - rows + 1) // 2  # a query sees itself and what is before it
            total += 2 * config.d_model * heads * 2 * (size + rows)  # keys, values; queries, output
            total += 2 * heads * 2 * pairs  # scores; mixing of values
            total += 2 * config.d_model * config.d_mlp * 2 * rows
        total += 2 * config.d_model * 12 * scored
    return 3 * total


# -- in words -----------------------------------------------------------------------------------


def _in_words(result: dict[str, Any]) -> str:
    lines = [
        f"{result['batch_size']} lists of 1 to {result['max_len']} digits, {result['n_blanks']} "
        f"blanks; {result['threads']} threads; median of {result['steps']} steps",
        f"processor: {result['processor']}; torch {result['torch']}; "
        f"ours in {result['precision']}, (a) and (b) in float32; {result['kernels']}",
        "",
        f"   {'':32} {'s/step':>8} {'fastest':>8} {'lists/s':>8}",
    ]
    for name, arm in result["arms"].items():
        lines.append(
            f"{name}  {arm['what']:32} {arm['median_s']:8.3f} {arm['fastest_s']:8.3f} "
            f"{arm['lists_per_s']:8.0f}"
        )
    lines.append("")
    for pair, ratio in result["ratios"].items():
        slow, fast = pair.split("/")
        lines.append(f"{fast} is {ratio:5.2f} times as fast as {slow}  ({_RATIOS[slow, fast]})")
    lines.append("")
    needed = result["operations_needed_per_step"]
    rates = ", ".join(f"{r / 1e9:.0f} in {name}" for name, r in result["matmul_rates"].items())
    lines.append(f"a step needs {needed / 1e9:.0f} GFLOP; a large product runs at {rates} GFLOP/s")
    for name, fraction in result["fraction_of_matmul_rate"].items():
        lines.append(f"{name} reaches {100 * fraction:.0f} % of that rate in {result['precision']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
