"""The command line of models on disk: which there are, what one is, and importing others'.

python -m interp.checkpoints list
python -m interp.checkpoints info blanks
python -m interp.checkpoints import model.pt runs/theirs --task sort --max-len 10 --n-blanks 0
python -m interp.checkpoints import-algoformer model_6000.pth runs/my-import --published
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro import conf

from interp.checkpoints import (
    COMPILED,
    compiled_names,
    describe,
    save_model,
    shipped_models,
    shipped_task_models,
)
from interp.config import ModelConfig
from interp.elsewhere.asked import Import, ImportAlgoformer
from interp.rules import SORT, read_rule
from interp.sorters.truth import truth_of
from interp.support.cli import run_command
from interp.support.errors import UserError

if TYPE_CHECKING:
    from interp.elsewhere.rivals import Read
    from interp.imports import Told
    from interp.model import SortTransformer


@dataclass(frozen=True)
class ListModels:
    """Show the shipped models."""


@dataclass(frozen=True)
class Info:
    """Show what a model is: sizes, hash, how it was trained, what it reaches."""

    name: conf.Positional[str]  # a shipped name, a run folder or a checkpoint
    task: Path | None = None  # FILE.py with the task, of a model whose task is in a file of yours

    def __post_init__(self) -> None:
        if self.task is not None:
            read_rule(self.task)


def main(argv: list[str] | None = None) -> None:
    run_command(_commands(), _command, "python -m interp.checkpoints", argv)


def _commands() -> Any:
    return (
        Annotated[ListModels, conf.subcommand("list")]
        | Annotated[Info, conf.subcommand("info")]
        | Annotated[Import, conf.subcommand("import")]
        | Annotated[ImportAlgoformer, conf.subcommand("import-algoformer")]
    )


def _command(args: ListModels | Info | Import | ImportAlgoformer) -> None:
    if isinstance(args, ListModels):
        for name in (*shipped_models(), *shipped_task_models()):
            print(f"{name:20} {_summary(name)}")
        for name in compiled_names():
            print(f"{name:20} compiled by hand: {truth_of(name.removeprefix(COMPILED)).words}")
    elif isinstance(args, Info):
        print(json.dumps(describe(args.name), indent=2))
    else:
        _import(args)


def _summary(name: str) -> str:
    info = describe(name)
    task = ModelConfig.from_dict(info["model"]).task
    reach = ""
    if info["evaluation"]:
        exact = info["evaluation"]["exact_match"]
        reach = (
            f"  {100 * exact['value']:.2f} % of lists exact "
            f"[{100 * exact['low']:.2f}, {100 * exact['high']:.2f}], n = {exact['n']:,}"
        )
    rule = "" if task.rule == SORT else f"{task.rule}: "
    return f"{rule}lists of {task.lengths_words}, {task.n_blanks} blanks{reach}"


def _import(args: Import | ImportAlgoformer) -> None:
    """Open, prove and write; nothing is there before all of it is right."""
    from interp.elsewhere.proof import prove

    if args.folder.exists() and (not args.folder.is_dir() or any(args.folder.iterdir())):
        raise UserError(f"{args.folder} is there already; name a folder that is new or empty")
    model, read, same_as = _imported(args)
    config, proof = model.config, prove(model, read)
    what = f"{args.file}: {proof.words}"
    if (doubt := proof.doubt) and not args.anyway:
        raise UserError(
            f"{what}; {doubt} (now: {_architecture(config)}): look at the flags and at the "
            "vocabulary; --anyway imports it as it is"
        )
    proved = {"exact_match": proof.exact.to_dict(), "chance": proof.chance, "loss": proof.loss}
    save_model(args.folder, model, imported_from=args.file.name, imported=proved)
    print(f"{args.folder}: {_architecture(config)}; computes what {same_as} from the file")
    print(what + (f"; {doubt}" if doubt else ""))
    if proof.open_questions:
        print(proof.open_questions)
    own = f" --task {args.task}" if isinstance(args, Import) and args.task.endswith(".py") else ""
    print(f"The explorer lists it after: {_explorer_for(args.folder, own)}")


def _imported(args: Import | ImportAlgoformer) -> tuple[SortTransformer, Read | None, str]:
    """The model, how its weights were read, and what it was compared with."""
    if isinstance(args, Import):
        from interp.elsewhere.hooked import import_hooked

        hooked = import_hooked(args.file, args.facts(), args.for_task(), args.vocabulary)
        literal = hooked.model.config.norm == "post"  # which TransformerLens does not have
        plain = "literal code" if literal else "a plain HookedTransformer"
        return hooked.model, hooked.read, f"{plain} computes"
    from interp.imports import import_weights

    return import_weights(args.file, _told(args)), None, "PyTorch's own modules compute"


def _architecture(config: ModelConfig) -> str:
    """In words: what was told, or taken from shapes."""
    task = config.task
    mlp = f"MLPs of {config.d_mlp} neurons ({config.activation})" if config.d_mlp else "no MLPs"
    norm = "no norm" if config.norm == "none" else f"{config.norm}-norm"
    return (
        f"lists of {task.lengths_words}, {task.n_blanks} blanks, position offset "
        f"{task.pos_offset}, {config.n_layers} layers of {config.n_heads} heads, {mlp}, {norm}, "
        f"{config.positions} positions"
    )


def _told(args: ImportAlgoformer) -> Told:
    from interp.imports import Told

    return Told(
        args.published,
        args.heads,
        args.norm,
        args.activation,
        args.max_len,
        0 if args.no_blanks else args.n_blanks,
        args.ln_eps,
    )


def _explorer_for(folder: Path, own: str = "") -> str:
    """The command whose explorer offers a model in that folder; ``own`` names its task's file."""
    models = "" if folder.parent == Path("runs") else f" --models {folder.parent}"
    return "streamlit run app.py" + (f" --{models}{own}" if models or own else "")


if __name__ == "__main__":
    main()
