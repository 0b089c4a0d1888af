"""The C++ of :mod:`interp.passes.native`: compiled when first asked for, on machines that can.

    missing = kernels.missing()     # None, or why they cannot be had here
    kernels.operators().drop(x, threshold, seed)

They are an option: what they compute, :mod:`interp.passes.packed` computes without them, slower.
They are compiled for the processor at hand, once (half a minute or so), into PyTorch's own cache of
extensions (``TORCH_EXTENSIONS_DIR``), under a name that says all the result depends on. That takes
a C++ compiler (``CXX``, or ``c++``) and nothing else: :func:`torch.utils.cpp_extension.load` would
take ninja and Python's headers as well, and a build that is killed would leave a lock behind that
every later one waits for.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch

from interp.support.errors import UserError

_FOLDER = Path(__file__).parent / "cpp"
# No -ffast-math: what is NaN or infinite must stay so.
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-std=c++20")
_lock = threading.Lock()
_tried: list[str | None] = []  # once tried: None, or why not


def missing() -> str | None:
    """Why the kernels cannot be had on this machine; None if they are there.

    The first call loads them, and compiles them where nobody has. It never raises.
    """
    with _lock:
        if not _tried:
            try:
                torch.ops.load_library(_library())
                _tried.append(None)
            except UserError as error:
                _tried.append(str(error))
            except Exception as error:  # whatever a compiler, a linker or a disk may say
                _tried.append(f"they could not be built: {_last_line(error)}")
        return _tried[0]


def operators() -> Any:
    """The operators, by name.

    Raises:
        UserError: if this machine has none, saying why.
    """
    why = missing()
    if why:
        raise UserError(f"no native kernels here: {why}")
    return torch.ops.sortscope


def pick_kernel(wanted: str, device: torch.device, pays: bool) -> tuple[str, str]:
    """``plain`` or ``native`` for ``wanted``, which may be ``auto``; and that in words.

    Args:
        pays: whether ``auto`` may have the kernels compiled.

    Raises:
        UserError: if native ones are insisted on and cannot be had, saying why.
    """
    why = None if device.type == "cpu" else f"they are for a CPU, not for {device.type}"
    if wanted == "plain" or (wanted == "auto" and (why or not pays)):
        return "plain", "plain kernels"
    why = why or missing()
    if why and wanted == "native":
        raise UserError(f"--kernel native: {why}; --kernel plain does without")
    return (
        ("plain", f"plain kernels (no native ones: {why})") if why else ("native", "native kernels")
    )


def _library() -> Path:
    """The compiled library, made now if it is not there."""
    cached = _cached()
    if cached.is_file():
        return cached
    if not shutil.which(_compiler()):
        raise UserError(f"there is no C++ compiler {_compiler()} to build them")
    cached.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own, and moved when it is whole: others may build at the same moment.
    with tempfile.TemporaryDirectory(dir=cached.parent, prefix="build-") as folder:
        os.replace(_build(Path(folder)), cached)
    return cached


def _build(folder: Path) -> Path:
    """Compile the kernels into ``folder``.

    Raises:
        UserError: with the compiler's first complaint.
    """
    from torch.utils.cpp_extension import include_paths, library_paths

    library = folder / "kernels.so"
    command = [_compiler(), *_flags(), "-shared", "-fPIC"]
    command += [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
    command += [f"-I{path}" for path in include_paths()]
    command += [str(_FOLDER / "kernels.cpp"), "-o", str(library)]
    command += [f"-L{path}" for path in library_paths()] + ["-lc10", "-ltorch_cpu", "-ltorch"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = done.stderr.splitlines()
        said = next((line for line in lines if "error" in line), (lines or ["no reason given"])[-1])
        raise UserError(f"{_compiler()} could not build them: {said}")
    return library


def _cached() -> Path:
    from torch.utils.cpp_extension import get_default_build_root

    root = os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root()
    return Path(root) / "sortscope" / f"kernels-{_key()}.so"


def _key() -> str:
    """A name for what the library depends on: sources, flags, PyTorch, compiler and processor."""
    digest = hashlib.blake2b(digest_size=8)
    for path in _sources():
        digest.update(path.read_bytes())
    for part in (*_flags(), torch.__version__, _compiler(), platform.machine(), _processor()):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def _sources() -> list[Path]:
    return sorted(path for path in _FOLDER.iterdir() if path.suffix in (".cpp", ".h"))


def _flags() -> tuple[str, ...]:
    wide = torch.cpu._is_avx512_bf16_supported()  # where whole registers cost no clock speed
    return (*_FLAGS, "-mprefer-vector-width=512") if wide else _FLAGS


def _compiler() -> str:
    return os.environ.get("CXX", "c++")


def _processor() -> str:
    """What -march=native depends on, for a cache that several machines share."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
