"""Weights on disk: safetensors, with a ``config.json`` beside them that says what they are.

    load_model("blanks").model              # shipped with the package
    load_model("stable@500").model          # a checkpoint of the shipped run "stable"
    load_model("compiled:slots").model      # a sorter compiled by hand
    load_model("runs/0003-stable-blanks-s0").model      # the newest checkpoint of a run

    python -m interp.checkpoints list                   # what there is; see __main__.py

A checkpoint is a folder with ``model.safetensors`` and ``config.json``; a run folder holds
checkpoints under ``checkpoints/step-000500``. Nothing here is ever unpickled unsafely.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.config import ModelConfig
from interp.sorters.truth import RULES
from interp.support import files
from interp.support.errors import UserError
from interp.support.fields import fits
from interp.support.lazy import lazy_import
from interp.support.limits import MOST_CONFIG_BYTES
from interp.support.strict_json import short
from interp.support.tensors import MOST_HEADER, parse_safetensors
from interp.weights import check_finite

if TYPE_CHECKING:
    import torch

    from interp.model import SortTransformer
else:
    torch = lazy_import("torch")

FORMAT = 1  # of config.json; raised when an older reader would misread it
WEIGHTS, CONFIG = "model.safetensors", "config.json"
EVALUATION, METRICS = "evaluation.json", "metrics.jsonl"
HASH = "hash"  # in config.json: what content_hash was when the weights were written
PRETRAINED = Path(__file__).parent.parent / "pretrained"
SHIPPED_TASKS = PRETRAINED / "tasks"  # models of other tasks than the experiment's
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
    """Names of models that sort, which :func:`load_model` knows without a path."""
    return sorted(p.parent.name for p in PRETRAINED.glob(f"*/{CONFIG}"))


def shipped_task_models() -> list[str]:
    """Names of models of other tasks, which :func:`load_model` knows without a path."""
    return sorted(p.parent.name for p in SHIPPED_TASKS.glob(f"*/{CONFIG}"))


def shipped_folder(name: str) -> Path | None:
    """Where the files of a shipped model are; None for what is no name of one."""
    if Path(name).name != name:  # of a folder elsewhere
        return None
    there = (folder / name for folder in (PRETRAINED, SHIPPED_TASKS))
    try:
        return next((folder for folder in there if (folder / CONFIG).is_file()), None)
    except OSError:  # too long for a name
        return None


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
    if (folder := shipped_folder(str(name_or_path))) is not None:
        return folder
    if str(name_or_path) in (shipped := shipped_checkpoints()):
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    if path.name in (WEIGHTS, CONFIG):
        path = path.parent
    if (path / WEIGHTS).is_file():
        return path
    if steps := run_checkpoints(path):
        return steps[-1]
    names = ", ".join([*shipped_models(), *shipped_task_models()]) or "none"
    if path.is_dir():
        raise UserError(f"{path} holds no {WEIGHTS}, and no checkpoints of a run")
    raise UserError(
        f"no model {str(name_or_path)!r}: "
        f"give a shipped one ({names}), a compiled one ({', '.join(compiled_names())}), "
        "a run folder or a checkpoint"
    )


def run_checkpoints(run: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first (empty if it has none)."""
    return step_folders(run / "checkpoints")


def step_folders(folder: Path) -> list[Path]:
    """The folders of weights in ``folder`` that are named by their step, oldest first."""
    found = [p for p in folder.glob("step-*") if (p / WEIGHTS).is_file()]
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
    stored = read_stored(folder)
    with _possible(folder):
        model = SortTransformer(stored.config)
    model.load_state_dict(stored.weights)
    model.eval()
    model.to(torch.device(device), print_details=False)
    return LoadedModel(model, str(name_or_path), folder, stored.hash, stored.info)


def load_bare(name_or_path: str | Path) -> LoadedModel:
    """As :func:`load_model`, but the parameters alone: a ``BareTransformer``, opened at once.

    A sorter compiled by hand is a ``SortTransformer`` here, too. Raises what ``load_model`` raises.
    """
    from interp.passes.bare import BareTransformer

    if str(name_or_path).startswith(COMPILED):
        return _load_compiled(str(name_or_path), "cpu")
    folder = find_checkpoint(name_or_path)
    stored = read_stored(folder)
    with _possible(folder):
        model: Any = BareTransformer(stored.config, stored.weights)
    return LoadedModel(model, str(name_or_path), folder, stored.hash, stored.info)


@dataclass(frozen=True)
class Stored:
    """What a checkpoint's folder holds, checked."""

    info: dict[str, Any]
    """The whole ``config.json``."""
    config: ModelConfig
    weights: dict[str, torch.Tensor]
    """In float32, all finite, of the shapes that the config asks for."""
    hash: str


def read_stored(folder: Path) -> Stored:
    """A checkpoint's config and weights, which fit each other and are as they were written.

    Raises:
        UserError: naming the file and the reason.
    """
    info = read_info(folder)
    config = ModelConfig.from_dict(info["model"])
    data = _weights_bytes(folder, config)
    weights = parse_safetensors(data, folder / WEIGHTS)
    _check_weights(folder, weights, config)
    weights = {name: tensor.float() for name, tensor in weights.items()}
    check_finite(weights, folder / WEIGHTS)
    return Stored(info, config, weights, _checked_hash(folder, info, config, data))


def _weights_bytes(folder: Path, config: ModelConfig) -> bytes:
    """The weights' file, if it is no larger than weights of these sizes can be."""
    from interp.passes.bare import parameter_shapes

    numbers = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    return files.read_bytes(folder / WEIGHTS, 8 * numbers + MOST_HEADER)


def _checked_hash(folder: Path, info: dict[str, Any], config: ModelConfig, data: bytes) -> str:
    """The hash, if it is the one that was recorded when the files were written."""
    now = weights_hash(config, data)
    recorded, source = info.get(HASH), CONFIG
    if recorded is None and (evaluation := read_evaluation(folder)) is not None:
        recorded, source = evaluation.get("model", {}).get("hash"), EVALUATION
    if recorded is not None and recorded != now:
        raise UserError(
            f"{folder} has been altered since it was written: the hash of its weights and "
            f"architecture is {now}, and its {source} records {short(recorded)}"
        )
    return now


@contextmanager
def _possible(folder: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # sizes that no memory holds
        reason = str(error).split(chr(10), 1)[0]
        raise UserError(f"{folder / CONFIG} asks for an impossible model: {reason}") from None


def compiled_names() -> list[str]:
    """Names of the models compiled by hand, as :func:`load_model` takes them."""
    return [f"{COMPILED}{name}" for name in RULES]


def _load_compiled(name: str, device: torch.device | str) -> LoadedModel:
    from safetensors.torch import save

    from interp.sorters.compiled import compile_sorter

    model = compile_sorter(name.removeprefix(COMPILED)).model
    info = {"format": FORMAT, "model": model.config.to_dict(), "compiled": True}
    hash_ = weights_hash(model.config, save(_state(model)))
    model.eval()
    model.to(torch.device(device), print_details=False)
    return LoadedModel(model, name, None, hash_, info)


def read_info(folder: Path) -> dict[str, Any]:
    """The checked ``config.json`` of a checkpoint."""
    path = folder / CONFIG
    info = files.read_json(path, MOST_CONFIG_BYTES)
    if not isinstance(info, dict) or type(info.get("format")) is not int:
        raise UserError(f"{path} is not the config of a sort transformer: it has no format number")
    check_format(path, info)
    try:
        ModelConfig.from_dict(info.get("model"))
        _check_step(info)
    except (UserError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None
    return info


def check_format(path: Path, data: dict[str, Any]) -> None:
    """Whether this version can read a file, by the format that it states.

    Raises:
        UserError: saying why not.
    """
    number = data.get("format")
    if type(number) is not int or number < 1:
        raise UserError(f"{path} states no format that there is: {short(number)}")
    if number > FORMAT:
        raise UserError(
            f"{path} was written by a newer version (format {number}; this version reads "
            f"up to {FORMAT}): upgrade sortscope to open it"
        )


def _check_step(info: dict[str, Any]) -> None:
    step = info.get("step", 0)
    if type(step) is not int or step < 0:
        raise UserError(f"step cannot be {short(step)}: it must be a whole number, 0 or more")


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """What ``evaluation.json`` beside a model's weights says of it; None where there is none.

    Raises:
        UserError: if it states no exact match, or what it says is no evaluation.
    """
    path = folder / EVALUATION
    if not path.exists():
        return None
    found = files.read_object(path, MOST_CONFIG_BYTES)
    about, exact = found.get("model", {}), found.get("exact_match")
    if not isinstance(about, dict) or not isinstance(about.get("hash", ""), str):
        raise UserError(f"{path} does not say which model was evaluated")
    if not isinstance(exact, dict) or not all(
        fits(exact.get(key), float) for key in ("value", "low", "high", "n")
    ):
        raise UserError(f"{path} states no exact match")
    return found


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, in the type they are kept in."""
    config = ModelConfig.from_dict(read_info(folder)["model"])
    return parse_safetensors(_weights_bytes(folder, config), folder / WEIGHTS)


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
    """16 hexadecimal digits of SHA-256 over the architecture and the weights' file.

    Raises:
        UserError: if another one was recorded when they were written.
    """
    info = read_info(folder)
    config = ModelConfig.from_dict(info["model"])
    return _checked_hash(folder, info, config, _weights_bytes(folder, config))


def weights_hash(config: ModelConfig, weights: bytes) -> str:
    """As :func:`content_hash`, of weights that are in no folder yet."""
    digest = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode())
    digest.update(weights)
    return digest.hexdigest()[:16]


def describe(name_or_path: str | Path) -> dict[str, Any]:
    """What ``info`` prints: the config, the hash, and the evaluation where there is one."""
    if str(name_or_path).startswith(COMPILED):
        loaded = load_model(name_or_path)
        return {"name": loaded.name, "folder": None, "hash": loaded.hash, **loaded.info}
    folder = find_checkpoint(name_or_path)
    return {
        "name": str(name_or_path),
        "folder": str(folder),
        **read_info(folder),
        "hash": content_hash(folder),
        "evaluation": read_evaluation(folder),
    }


# -- writing ------------------------------------------------------------------------------------


def write_model(folder: Path, model: SortTransformer, **about: Any) -> None:
    """Weights and config into an existing ``folder`` (make it with ``files.new_folder``).

    ``about`` goes into ``config.json`` beside the architecture, for example ``step=500``. Their
    hash goes there too, so that weights that are altered later are not taken for these.

    Raises:
        UserError: if something acts on the model that its parameters and config do not hold, and
            for NaN and infinity, with which it would not open again.
    """
    from safetensors.torch import save

    from interp.passes.untouched import refuse_touched

    refuse_touched(model, "a checkpoint")
    state = _state(model)
    check_finite(state, "the model")
    data = save(state)
    files.write_bytes(folder / WEIGHTS, data)
    info = {"format": FORMAT, "model": model.config.to_dict()}
    info[HASH] = weights_hash(model.config, data)
    files.write_json(folder / CONFIG, {**info, **about})


def _state(model: SortTransformer) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def save_model(folder: Path, model: SortTransformer, **about: Any) -> None:
    """A checkpoint folder that is either complete or absent.

    Raises:
        UserError: as :func:`write_model` and :func:`check_replaceable` do.
    """
    check_replaceable(folder)
    with files.new_folder(folder) as staging:
        write_model(staging, model, **about)


def check_replaceable(folder: Path) -> None:
    """Whether a model or a run may be written as ``folder``: in place of another one, at most.

    Raises:
        UserError: if there is something else.
    """
    if not os.path.lexists(folder) or (folder / CONFIG).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise UserError(
            f"{folder} is there already, and is no model: name a folder that is new or empty"
        )
