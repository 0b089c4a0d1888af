"""Tensors from files that may be anybody's: safetensors, and what ``torch.save`` writes.

    parse_safetensors(data, "model.safetensors")        # {"embed.W_E": tensor, ...}
    read_torch(Path("state.pt"), most=10_000_000)       # what was saved, nothing executed

A file of PyTorch holds a pickle. It is read with ``weights_only=True``, so none of its code runs;
but such a pickle can still ask for more memory than there is, or hold tensors that are none. So it
is looked through first: its archive (nothing compressed, sums right, no more bytes than there may
be) and the names that it calls (those that build an ordinary tensor, and no others). Afterwards
every tensor must be one whose numbers are all there.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.support import files
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.support.strict_json import cut, parse_json

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")

MOST_HEADER = 1 << 22
"""Bytes of a safetensors header; the experiment's model takes 4,000."""
MOST_TORCH = 1 << 31
"""Bytes of a file of PyTorch, where nothing else is known."""
_MEMBERS = 100_000
_WORDS = 120  # characters of a library's message
_STORAGES = {
    f"{kind}Storage"
    for kind in ("Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Int", "Long")
} | {"BoolStorage", "ComplexFloatStorage", "ComplexDoubleStorage", "UntypedStorage"}
_CALLED = {
    "collections OrderedDict",
    "torch Size",
    "torch device",
    "torch.nn.parameter Parameter",
    *(f"torch._utils _rebuild_{kind}" for kind in ("parameter", "tensor", "tensor_v2")),
    *(f"torch {name}" for name in _STORAGES),
    *(f"torch.storage {name}" for name in ("TypedStorage", "UntypedStorage")),
    *(f"torch {name}" for name in ("float32", "float64", "float16", "bfloat16", "int64", "int32")),
}
_OLD_PICKLES = 5  # of a file from before archives: magic number, protocol, system, object, keys


# -- safetensors --------------------------------------------------------------------------------


def parse_safetensors(
    data: bytes, source: object, any_type: bool = False
) -> dict[str, torch.Tensor]:
    """The tensors in a safetensors file's bytes, all of real floating-point numbers; but an empty
    one, as TransformerLens's mask is, may be of any type.

    Args:
        any_type: let any tensor be of any type; the caller looks.

    Raises:
        UserError: naming ``source`` and the reason.
    """
    from safetensors.torch import load

    try:
        _check_header(data)
        tensors = load(data)
    except Exception as error:  # the library raises many kinds for what it does not expect
        raise UserError(f"{source} is truncated or corrupted: {first_line(error)}") from None
    for name, tensor in tensors.items():
        if tensor.numel() and not (any_type or tensor.is_floating_point()):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise UserError(f"{source}: {name} is of type {kind}; weights are real numbers")
    return tensors


def _check_header(data: bytes) -> None:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(MOST_HEADER, len(data) - 8):
        raise ValueError("its header is not whole")
    header = parse_json(data[8 : 8 + size].decode())
    if not isinstance(header, dict):
        raise ValueError("its header is no object")


def first_line(error: BaseException) -> str:
    """A library's message, on one line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return cut(" ".join(lines[0].split()), _WORDS) if lines else type(error).__name__


# -- what torch.save writes ---------------------------------------------------------------------


def read_torch(path: Path, most: int = MOST_TORCH) -> Any:
    """What ``torch.save`` wrote into ``path``: tensors on the CPU, and plain values around them.

    Args:
        most: bytes that it may take, unpacked.

    Raises:
        UserError: naming the file and the reason. Nothing in it was executed.
    """
    data = files.read_bytes(path, most)
    try:
        _check_archive(data, most) if zipfile.is_zipfile(io.BytesIO(data)) else _check_old(data)
        value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        for tensor in _tensors(value):
            _check_dense(tensor)
    except Exception as error:  # torch raises many kinds for a file that is not what it expects
        raise UserError(
            f"{path} cannot be opened as PyTorch weights (truncated, corrupted, or a pickle that "
            f"would run code): {first_line(error)}"
        ) from None
    return value


def _check_archive(data: bytes, most: int) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > _MEMBERS or len({one.filename for one in members}) < len(members):
            raise ValueError("its archive names a part twice, or too many")
        if any(one.compress_type != zipfile.ZIP_STORED for one in members):
            raise ValueError("its archive is compressed, as torch.save never does it")
        if sum(one.file_size for one in members) > most:
            raise ValueError(f"unpacked it takes more than {most:,} bytes")
        if (broken := archive.testzip()) is not None:
            raise ValueError(f"the part {cut(broken)} of its archive is damaged")
        for one in members:
            if one.filename.endswith(".pkl"):
                _check_pickle(io.BytesIO(archive.read(one)))


def _check_old(data: bytes) -> None:
    """As PyTorch saved before 1.6: pickles one after the other, and then the numbers."""
    stream = io.BytesIO(data)
    for _ in range(_OLD_PICKLES):
        _check_pickle(stream)


def _check_pickle(stream: io.BytesIO) -> None:
    """Whether a pickle calls nothing but what builds ordinary tensors."""
    for code, argument, _ in pickletools.genops(stream):
        if code.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX") or (
            code.name.startswith("EXT")
        ):
            raise ValueError(
                f"its pickle makes objects in a way that torch.save does not ({code.name})"
            )
        if code.name == "GLOBAL" and argument not in _CALLED:
            raise ValueError(
                f"it calls {cut(str(argument).replace(' ', '.'))}, which no plain weights do"
            )


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in what was saved, each once, however often and however deeply it is there."""
    seen: set[int] = set()
    left = [value]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            yield one
        elif isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            left += one


def _check_dense(tensor: torch.Tensor) -> None:
    """Whether all numbers of a tensor are there, each in its own place."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        raise ValueError("it holds a sparse, quantised or nested tensor")
    if tensor.device.type != "cpu":
        raise ValueError(f"it holds a tensor on {tensor.device}, without its numbers")
    if math.prod(tensor.shape) * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"it holds a tensor of shape {tuple(tensor.shape)} made of fewer numbers")
