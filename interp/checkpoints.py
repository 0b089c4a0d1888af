"""Weights on disk: safetensors, with a ``config.json`` beside them that says what they are.

    load_model("blanks").model              # shipped with the package
    load_model("stable@500").model          # a checkpoint of the shipped run "stable"
    load_model("compiled:slots").model      # a sorter compiled by hand
    load_model("runs/0003-stable-blanks-s0").model      # the newest checkpoint of a run

    python -m interp.checkpoints list
    python -m interp.checkpoints info blanks
    python -m interp.checkpoints import-algoformer model_6000.pth my-import

A checkpoint is a folder with ``model.safetensors`` and ``config.json``; a run folder holds
checkpoints under ``checkpoints/step-000500``. Nothing here is ever unpickled unsafely.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, subcommand

from interp.config import ModelConfig
from interp.sorters.truth import SORTERS, truth_of
from interp.support import files
from interp.support.cli import run_command
from interp.support.errors import UserError
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import torch

    from interp.model import SortTransformer
else:
    torch = lazy_import("torch")

FORMAT = 1  # of config.json; raised when an older reader would misread it
WEIGHTS, CONFIG = "model.safetensors", "config.json"
EVALUATION, METRICS = "evaluation.json", "metrics.jsonl"
PRETRAINED = Path(__file__).parent / "pretrained"
SHIPPED_RUNS = PRETRAINED / "runs"  # run folders with some of their checkpoints, for their course
COMPILED = "compiled:"  # before the name of a sorter compiled by hand
_STEP_FOLDER = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class LoadedModel:
    """A model and where it came from."""

    model: SortTransformer
    name: str
    """The shipped name, or the path that was asked for."""
    folder: Path | None
    """None for a sorter compiled by hand: it has no files."""
    hash: str
    """Of the weights and the architecture: equal hashes compute the same function."""
    info: dict[str, Any]
    """The whole ``config.json``: format, model, and where known training and step."""


# -- reading ------------------------------------------------------------------------------------


def shipped_models() -> list[str]:
    """Names that :func:`load_model` knows without a path."""
    return sorted(p.parent.name for p in PRETRAINED.glob(f"*/{CONFIG}"))


def shipped_runs() -> dict[str, Path]:
    """The folders of the runs that are shipped with their checkpoints, by name."""
    return {p.name: p for p in sorted(SHIPPED_RUNS.glob("*")) if run_checkpoints(p)}


def shipped_checkpoints() -> dict[str, Path]:
    """The checkpoints of the shipped runs, by the names that :func:`load_model` knows:
    ``NAME@500``."""
    return {
        f"{run}@{checkpoint_step(folder)}": folder
        for run, path in shipped_runs().items()
        for folder in run_checkpoints(path)
    }


def find_checkpoint(name_or_path: str | Path) -> Path:
    """The folder that holds the weights: of a shipped name, a checkpoint, or a run's newest one.

    Raises:
        UserError: saying what there is instead.
    """
    if str(name_or_path) in shipped_models():
        return PRETRAINED / str(name_or_path)
    if str(name_or_path) in (shipped := shipped_checkpoints()):
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    if path.name in (WEIGHTS, CONFIG):
        path = path.parent
    if (path / WEIGHTS).is_file():
        return path
    if steps := run_checkpoints(path):
        return steps[-1]
    names = ", ".join(shipped_models()) or "none"
    if path.is_dir():
        raise UserError(f"{path} holds no {WEIGHTS}, and no checkpoints of a run")
    raise UserError(
        f"no model {str(name_or_path)!r}: "
        f"give a shipped one ({names}), a compiled one ({', '.join(compiled_names())}), "
        "a run folder or a checkpoint"
    )


def run_checkpoints(run: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first (empty if it has none)."""
    found = [p for p in (run / "checkpoints").glob("step-*") if (p / WEIGHTS).is_file()]
    return sorted((p for p in found if _STEP_FOLDER.fullmatch(p.name)), key=checkpoint_step)


def checkpoint_step(folder: Path) -> int:
    """The number of updates that a ``step-000500`` folder's weights have had."""
    match = _STEP_FOLDER.fullmatch(folder.name)
    if not match:
        raise UserError(f"{folder} is not a checkpoint of a run")
    return int(match[1])


def load_model(name_or_path: str | Path, device: torch.device | str = "cpu") -> LoadedModel:
    """A shipped model by name, or any run folder, checkpoint or imported model by path.

    Raises:
        UserError: naming the file and the reason, if it cannot be read as such.
    """
    from interp.model import SortTransformer

    if str(name_or_path).startswith(COMPILED):
        return _load_compiled(str(name_or_path), device)
    folder = find_checkpoint(name_or_path)
    info, config, weights = _read(folder)
    with _possible(folder):
        model = SortTransformer(config)
    model.load_state_dict(weights)
    model.eval()
    model.to(torch.device(device), print_details=False)
    return LoadedModel(model, str(name_or_path), folder, content_hash(folder), info)


def load_bare(name_or_path: str | Path) -> LoadedModel:
    """As :func:`load_model`, but the parameters alone: a ``BareTransformer``, opened at once.

    A sorter compiled by hand is a ``SortTransformer`` here, too. Raises what ``load_model`` raises.
    """
    from interp.passes.bare import BareTransformer

    if str(name_or_path).startswith(COMPILED):
        return _load_compiled(str(name_or_path), "cpu")
    folder = find_checkpoint(name_or_path)
    info, config, weights = _read(folder)
    with _possible(folder):
        model: Any = BareTransformer(config, weights)
    return LoadedModel(model, str(name_or_path), folder, content_hash(folder), info)


def _read(folder: Path) -> tuple[dict[str, Any], ModelConfig, dict[str, torch.Tensor]]:
    info = read_info(folder)
    config, weights = ModelConfig.from_dict(info["model"]), read_weights(folder)
    _check_weights(folder, weights, config)
    return info, config, {name: tensor.float() for name, tensor in weights.items()}


@contextmanager
def _possible(folder: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # sizes that no memory holds
        reason = str(error).split(chr(10), 1)[0]
        raise UserError(f"{folder / CONFIG} asks for an impossible model: {reason}") from None


def compiled_names() -> list[str]:
    """Names of the sorters compiled by hand, as :func:`load_model` takes them."""
    return [f"{COMPILED}{name}" for name in SORTERS]


def _load_compiled(name: str, device: torch.device | str) -> LoadedModel:
    from safetensors.torch import save

    from interp.sorters.compiled import compile_sorter

    model = compile_sorter(name.removeprefix(COMPILED)).model
    config = model.config.to_dict()
    info = {"format": FORMAT, "model": config, "compiled": True}
    hash_ = _hash(config, save(_state(model)))
    model.eval()
    model.to(torch.device(device), print_details=False)
    return LoadedModel(model, name, None, hash_, info)


def read_info(folder: Path) -> dict[str, Any]:
    """The checked ``config.json`` of a checkpoint."""
    path = folder / CONFIG
    info = files.read_json(path)
    if not isinstance(info, dict) or not isinstance(info.get("format"), int):
        raise UserError(f"{path} is not the config of a sort transformer: it has no format number")
    if info["format"] > FORMAT:
        raise UserError(
            f"{path} was written by a newer version (format {info['format']}; this version reads "
            f"up to {FORMAT}): upgrade sortscope to open it"
        )
    try:
        ModelConfig.from_dict(info.get("model"))
    except (UserError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None
    return info


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = folder / WEIGHTS
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except SafetensorError as error:
        raise UserError(f"{path} is truncated or corrupted: {error}") from None


def _check_weights(folder: Path, weights: dict[str, torch.Tensor], config: ModelConfig) -> None:
    from interp.passes.bare import parameter_shapes

    path, wanted = folder / WEIGHTS, parameter_shapes(config)
    for name in sorted(set(wanted) ^ set(weights)):
        verb = "lacks" if name in wanted else "has an unknown tensor"
        raise UserError(f"{path} {verb} {name}: it does not fit the {CONFIG} beside it")
    for name, tensor in weights.items():
        if tensor.shape != wanted[name]:
            raise UserError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, but the {CONFIG} beside it asks "
                f"for {wanted[name]}"
            )


def content_hash(folder: Path) -> str:
    """16 hexadecimal digits of SHA-256 over the architecture and the weights' file."""
    model = ModelConfig.from_dict(read_info(folder)["model"]).to_dict()
    return _hash(model, (folder / WEIGHTS).read_bytes())


def _hash(model: dict[str, Any], weights: bytes) -> str:
    digest = hashlib.sha256(json.dumps(model, sort_keys=True).encode())
    digest.update(weights)
    return digest.hexdigest()[:16]


# -- writing ------------------------------------------------------------------------------------


def write_model(folder: Path, model: SortTransformer, **about: Any) -> None:
    """Weights and config into an existing ``folder`` (make it with ``files.new_folder``).

    ``about`` goes into ``config.json`` beside the architecture, for example ``step=500``.
    """
    from safetensors.torch import save

    files.write_bytes(folder / WEIGHTS, save(_state(model)))
    files.write_json(folder / CONFIG, {"format": FORMAT, "model": model.config.to_dict(), **about})


def _state(model: SortTransformer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def save_model(folder: Path, model: SortTransformer, **about: Any) -> None:
    """A checkpoint folder that is either complete or absent."""
    with files.new_folder(folder) as staging:
        write_model(staging, model, **about)


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListModels:
    """Show the shipped models."""


@dataclass(frozen=True)
class Info:
    """Show what a model is: sizes, hash, how it was trained, what it reaches."""

    name: Positional[str]  # a shipped name, a run folder or a checkpoint


@dataclass(frozen=True)
class ImportAlgoformer:
    """Turn weights saved by the original code into a model that every command opens."""

    file: Positional[Path]  # a model_6000.pth of the original code
    folder: Positional[Path]  # where to write the model
    n_blanks: int | None = None  # blanks it was trained with (default: 49, or 0 with an offset)
    no_blanks: bool = False  # it was trained without blanks


Command = (
    Annotated[ListModels, subcommand("list")]
    | Annotated[Info, subcommand("info")]
    | Annotated[ImportAlgoformer, subcommand("import-algoformer")]
)


def main(argv: list[str] | None = None) -> None:
    run_command(Command, _command, "python -m interp.checkpoints", argv)


def _command(args: ListModels | Info | ImportAlgoformer) -> None:
    if isinstance(args, ListModels):
        for name in shipped_models():
            print(f"{name:20} {_summary(PRETRAINED / name)}")
        for name in compiled_names():
            print(f"{name:20} compiled by hand: {truth_of(name.removeprefix(COMPILED)).words}")
    elif isinstance(args, Info):
        print(json.dumps(describe(args.name), indent=2))
    else:
        _import(args)


def describe(name_or_path: str | Path) -> dict[str, Any]:
    """What ``info`` prints: the config, the hash, and the evaluation where there is one."""
    if str(name_or_path).startswith(COMPILED):
        loaded = load_model(name_or_path)
        return {"name": loaded.name, "folder": None, "hash": loaded.hash, **loaded.info}
    folder = find_checkpoint(name_or_path)
    evaluation = folder / EVALUATION
    return {
        "name": str(name_or_path),
        "folder": str(folder),
        "hash": content_hash(folder),
        **read_info(folder),
        "evaluation": files.read_json(evaluation) if evaluation.exists() else None,
    }


def _summary(folder: Path) -> str:
    info = describe(folder)
    task = ModelConfig.from_dict(info["model"]).task
    reach = ""
    if info["evaluation"]:
        exact = info["evaluation"]["exact_match"]
        reach = (
            f"  {100 * exact['value']:.2f} % of lists exact "
            f"[{100 * exact['low']:.2f}, {100 * exact['high']:.2f}], n = {exact['n']:,}"
        )
    return f"lists of 1 to {task.max_len}, {task.n_blanks} blanks{reach}"


def _import(args: ImportAlgoformer) -> None:
    from interp.algoformer import import_weights

    if args.no_blanks and args.n_blanks:
        raise UserError(f"--no-blanks contradicts --n-blanks {args.n_blanks}")
    if args.folder.exists() and (not args.folder.is_dir() or any(args.folder.iterdir())):
        raise UserError(f"{args.folder} is there already; name a folder that is new or empty")
    model = import_weights(args.file, 0 if args.no_blanks else args.n_blanks)
    save_model(args.folder, model, imported_from=args.file.name)
    task = model.task
    print(
        f"{args.folder}: lists of 1 to {task.max_len}, {task.n_blanks} blanks, "
        f"position offset {task.pos_offset}"
    )


if __name__ == "__main__":
    main()
