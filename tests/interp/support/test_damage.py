"""Damage, drawn from a seed: every file of a model that is not one is a message of one line.

The generators are the point: each test damages a small model in a hundred ways or so, and asks the
same of all of them. Nothing hangs, nothing takes memory, nothing is believed.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from interp.checkpoints import CONFIG, WEIGHTS, content_hash, describe, load_bare, save_model
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.support import files
from interp.support.errors import UserError
from interp.support.strict_json import MOST_DEPTH, parse_json
from interp.support.tensors import read_torch
from interp.task import SortTask

pytestmark = pytest.mark.usefixtures("unchecked")  # as users have it
SIZES = {"d_model": 8, "n_heads": 2, "d_head": 4, "d_mlp": 12}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A model that opens. Only to be copied."""
    folder = tmp_path_factory.mktemp("model") / "whole"
    save_model(folder, SortTransformer(ModelConfig(task=SortTask(3, 4), **SIZES)), step=5)
    return folder


@pytest.fixture
def model(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "model")
    return tmp_path / "model"


def refusal(read: Callable[[Any], object], what: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(what)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 500
    return said


def opened_or_refused(model: Path) -> str | None:
    """The hash of what opens; None of what is refused, in one line."""
    said = "\n"
    try:
        return load_bare(model).hash
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    return None


# -- files that are none ------------------------------------------------------------------------


def fifo(path: Path) -> None:
    os.mkfifo(path)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": fifo,
    "a folder": lambda path: path.mkdir(),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to(path.parent / "nothing"),
    "a link to memory": lambda path: path.symlink_to("/proc/self/mem"),
    "a link to a stream": lambda path: path.symlink_to("/proc/kmsg"),
    "nothing": lambda path: None,
    "nothing in it": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "60 GB": lambda path: (path.touch(), os.truncate(path, 60 << 30)),
}


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_no_wait(what, file, model):
    (model / file).unlink(missing_ok=True)
    NO_FILES[what](model / file)
    refusal(load_bare, model)
    refusal(describe, model)


@pytest.mark.parametrize("what", NO_FILES)
def test_no_reader_waits(what, tmp_path):
    path = tmp_path / "file"
    NO_FILES[what](path)
    for read in (files.read_json, files.read_object, read_torch):
        refusal(read, path)
    if "memory" not in what and "stream" not in what and what not in ("nothing in it", "zeros"):
        refusal(files.read_text, path)  # of those, the size says that there is nothing in them


@pytest.mark.parametrize("what", [what for what in NO_FILES if "nothing" not in what])
def test_an_evaluation_that_is_none_is_a_message_where_it_is_read(what, model):
    NO_FILES[what](model / "evaluation.json")
    if what != "a link to itself":  # leads nowhere: there is none
        refusal(describe, model)
    assert load_bare(model)  # it rests on the hash in the config


def test_a_name_with_a_zero_byte_is_a_message(tmp_path):
    refusal(files.read_json, tmp_path / "a\0b")
    refusal(files.check_place, tmp_path / "a\0b")


# -- JSON ---------------------------------------------------------------------------------------

BAD_JSON = [
    *("[" * n for n in (10, 1000, 100_000)),
    "[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1),
    '{"a":' * 60 + "1" + "}" * 60,
    *(f"[1, {text}]" for text in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000)),
    *(f"[1, {number}]" for number in (1 << 63, -(1 << 63) - 1, 10**40)),
    '{"format": 1, "format": 1}',
    '{"a": "\\ud800"}',
    "{'a': 1}",
    '{"a": 1,}',
    "\ufeff{}",
]


@pytest.mark.parametrize("text", BAD_JSON, ids=lambda text: text[:20])
def test_json_that_nobody_could_hold_is_refused(text, tmp_path):
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own)
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    assert "a.json is not JSON" in refusal(files.read_json, tmp_path / "a.json")


def test_a_config_of_any_size_is_refused_at_once(model):
    """A file of JSON may be 256 MB, which took minutes and gigabytes."""
    for file in (CONFIG, "evaluation.json"):
        before = (model / file).read_bytes() if (model / file).exists() else b""
        (model / file).write_text("[" + "[]," * 400_000 + "1]")
        assert "is too large" in refusal(describe, model)
        (model / file).write_bytes(before)


def test_json_that_can_be_held_is_read():
    deep = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert json.dumps(parse_json(deep)).replace(" ", "") == deep
    for value in ((1 << 63) - 1, -(1 << 63), 1e308, "\U0001f600", {"a": [None, True]}):
        assert parse_json(json.dumps(value)) == value


# -- configs ------------------------------------------------------------------------------------

ODD: list[Any] = [None, True, False, "", "1", "x" * 9999, [], [1], {}, {"a": 1}, 0, -1, 1.5, -0.5]
ODD += [1e308, 10**6, 10**9, 10**12, (1 << 63) - 1, "NaN", [[[]]], 1e40, 1e-400]


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key inside JSON."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield (*path, key)
            yield from places(inside, (*path, key))


def put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> Any:
    for key in path[:-1]:
        data = data[key]
    before, data[path[-1]] = data[path[-1]], value
    return before


def test_any_value_anywhere_in_a_config_is_the_same_model_or_a_message(model):
    """Of every key with every odd value: what opens has the hash that was recorded."""
    path, hash_ = model / CONFIG, content_hash(model)
    whole = json.loads(path.read_text())
    refused = 0
    for place in places(whole):
        for odd in ODD:
            before = put(whole, place, odd)
            path.write_text(json.dumps(whole))
            put(whole, place, before)
            if (found := opened_or_refused(model)) is None:
                refused += 1
            else:
                assert found == hash_ or place == ("hash",), (place, odd)
    assert refused > 200


@pytest.mark.parametrize("number", [0, -1, 2, 99, None, "1", True, 1.0, [1], 10**12])
def test_only_formats_that_there_are_open(number, model):
    config = json.loads((model / CONFIG).read_text())
    (model / CONFIG).write_text(json.dumps({**config, "format": number}))
    assert "format" in refusal(load_bare, model)


@pytest.mark.parametrize("key", ["n_layers", "d_model", "n_heads", "d_head", "d_mlp"])
def test_sizes_that_cannot_be_are_refused_before_anything_is_built(key):
    for size in (10**6, 10**9, 10**15):
        with pytest.raises(UserError, match=r"at most|parameters"):
            ModelConfig(**{key: size})


@pytest.mark.parametrize("key", ["max_len", "n_blanks", "pos_offset"])
def test_lengths_that_cannot_be_are_refused(key):
    for size in (100_000, 10**9, 10**15):
        with pytest.raises(UserError, match="positions; the most are"):
            SortTask(**{key: size})


@pytest.mark.parametrize("eps", [0.0, -1.0, float("nan"), float("inf"), 1e40, 1.5])
def test_epsilons_that_cannot_be_are_refused(eps):
    with pytest.raises(UserError, match="ln_eps"):
        ModelConfig(ln_eps=eps)


# -- weights ------------------------------------------------------------------------------------


def test_any_bit_that_is_turned_is_noticed(model):
    """In the weights, and in all of the config that decides what is computed."""
    draw = random.Random(7)
    for file, times in ((WEIGHTS, 60), (CONFIG, 60)):
        whole = (model / file).read_bytes()
        for _ in range(times):
            at = draw.randrange(8 * len(whole))
            turned = bytearray(whole)
            turned[at // 8] ^= 1 << at % 8
            (model / file).write_bytes(turned)
            if (found := opened_or_refused(model)) is not None:  # in a word that decides nothing
                assert file == CONFIG
                assert found == content_hash(model)
        (model / file).write_bytes(whole)
    assert load_bare(model)


def test_weights_that_were_exchanged_are_not_taken_for_these(model, tmp_path):
    """The words say what was found: two hashes, and where the other one was recorded."""
    config = ModelConfig(task=SortTask(3, 4), **SIZES)
    save_model(tmp_path / "other", SortTransformer(config, seed=9))
    shutil.copy(tmp_path / "other" / WEIGHTS, model / WEIGHTS)
    said = refusal(load_bare, model)
    assert "has been altered since it was written" in said
    assert content_hash(tmp_path / "other") in said
    # As a shipped model, whose evaluation has the hash.
    info = json.loads((model / CONFIG).read_text())
    recorded = info.pop("hash")
    (model / CONFIG).write_text(json.dumps(info))
    assert load_bare(model)
    rate = {"value": 1.0, "low": 0.9, "high": 1.0, "n": 9}
    about = {"model": {"hash": recorded}, "exact_match": rate}
    (model / "evaluation.json").write_text(json.dumps(about))
    assert f"its evaluation.json records '{recorded}'" in refusal(load_bare, model)


@pytest.mark.parametrize(
    "dtype", ["int64", "int32", "int8", "uint8", "bool", "complex64", "float8_e4m3fn"]
)
def test_weights_are_real_numbers(dtype, model):
    tensors = load_file(model / WEIGHTS)
    tensors["unembed.b_U"] = tensors["unembed.b_U"].to(getattr(torch, dtype))
    save_file(tensors, model / WEIGHTS)
    refusal(load_bare, model)


def edited_header(model: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    data = (model / WEIGHTS).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    edit(header)
    text = json.dumps(header).encode()
    (model / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another type": lambda h: h["embed.W_E"].update(dtype="I32"),
    "a shorter type": lambda h: h["embed.W_E"].update(dtype="F16"),
    "no type": lambda h: h["embed.W_E"].pop("dtype"),
    "a huge shape": lambda h: h["embed.W_E"].update(shape=[1 << 40, 1 << 20]),
    "a negative shape": lambda h: h["embed.W_E"].update(shape=[-1, 8]),
    "offsets past the end": lambda h: h["embed.W_E"].update(data_offsets=[0, 1 << 50]),
    "offsets backwards": lambda h: h["embed.W_E"].update(data_offsets=[416, 0]),
    "a number for a tensor": lambda h: h.update({"embed.W_E": 3}),
    "one more": lambda h: h.update(extra={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    "one less": lambda h: h.pop("embed.W_E"),
    "deep": lambda h: h.update(__metadata__={"a": json.loads("[" * 90 + "]" * 90)}),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_does_not_fit_is_refused(what, model):
    edited_header(model, HEADERS[what])
    refusal(load_bare, model)


@pytest.mark.parametrize("size", [0, 1, 7, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_a_header_of_impossible_length_is_refused(size, model):
    data = (model / WEIGHTS).read_bytes()
    (model / WEIGHTS).write_bytes(struct.pack("<Q", size) + data[8:])
    assert "truncated or corrupted" in refusal(load_bare, model)


# -- what torch.save writes ---------------------------------------------------------------------


def saved(path: Path, value: object, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def test_what_was_saved_comes_back(tmp_path):
    value = {"step": 3, "a": torch.arange(6.0).reshape(2, 3), "b": [torch.tensor(1), "x"]}
    for old in (False, True):
        path = saved(tmp_path / "s.pt", value, _use_new_zipfile_serialization=not old)
        back = read_torch(path)
        assert back["step"] == 3
        assert torch.equal(back["a"], value["a"])


TENSORS: dict[str, Callable[[], object]] = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "compressed": lambda: torch.eye(3).to_sparse_csr(),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "on no device": lambda: torch.empty(3, device="meta"),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "expanded": lambda: torch.ones(1).expand(1 << 20),
    "expanded to 4 TB": lambda: torch.ones(1).expand(1 << 40),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", TENSORS)
def test_tensors_whose_numbers_are_not_there_are_refused(what, tmp_path):
    path = saved(tmp_path / "s.pt", {"layer": {"weight": TENSORS[what]()}})
    refusal(read_torch, path)


class Exploit:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


class Bomb:
    """A pickle of a few bytes that asks for as many as it says."""

    def __reduce__(self):
        return bytearray, (1 << 36,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", [Exploit, Bomb])
def test_pickles_of_any_protocol_run_nothing(kind, protocol, tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "s.pt"
    value = {"a": Exploit(mark) if kind is Exploit else Bomb()}
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    refusal(read_torch, path)
    saved(path, value, pickle_protocol=max(2, protocol))
    refusal(read_torch, path)
    assert not mark.exists()


def test_an_archive_is_looked_through_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path / "s.pt", {"a": torch.zeros(1000)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    def rewritten(how: int, **changes: bytes) -> Path:
        with zipfile.ZipFile(path, "w", how) as archive:
            for name, data in parts.items():
                archive.writestr(name, changes.get(Path(name).name, data))
        return path

    assert read_torch(rewritten(zipfile.ZIP_STORED))  # positive control
    said = refusal(read_torch, rewritten(zipfile.ZIP_DEFLATED))
    assert "compressed" in said
    for large in (1 << 14, 1 << 20):
        rewritten(zipfile.ZIP_STORED)
        assert "too large" in refusal(lambda p, n=large: read_torch(p, n // 1024), path)
    data = bytearray(saved(path, {"a": torch.zeros(1000)}).read_bytes())
    at = data.index(bytes(512)) + 100  # inside the numbers
    data[at] ^= 1
    path.write_bytes(data)
    assert "is damaged" in refusal(read_torch, path)


def test_truncated_and_scrambled_archives_are_one_line(tmp_path):
    draw = random.Random(3)
    whole = saved(tmp_path / "s.pt", {"a": torch.ones(50)}).read_bytes()
    path = tmp_path / "damaged.pt"
    for _ in range(60):
        data = bytearray(whole[: draw.randrange(len(whole))])
        for _ in range(draw.randrange(4)):
            if data:
                data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        refusal(read_torch, path)
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(50)}, buffer)
    path.write_bytes(buffer.getvalue())
    assert torch.equal(read_torch(path)["a"], torch.ones(50))
