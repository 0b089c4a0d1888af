"""Whole or absent: what is on disk when a write is interrupted at any point."""

import errno
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interp.support import files
from interp.support.errors import UserError


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, temporary ones included."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def no_space(monkeypatch):
    """From now on the disk is full."""

    def refuse(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


def test_text_and_json_come_back(tmp_path):
    files.write_text(
        tmp_path / "new" / "folder" / "a.txt", "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve\n"
    )
    assert (tmp_path / "new" / "folder" / "a.txt").read_text() == "na\xefve\n"
    value = {"a": [1, 2.5, None, True], "b": {"c": "d"}}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a"
    files.write_bytes(path, b"first")
    files.write_bytes(path, b"2")
    assert contents(tmp_path) == {"a": b"2"}


@pytest.mark.usefixtures("no_space")
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        files.write_bytes(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}


def test_a_folder_that_cannot_be_moved_aside_leaves_nothing_beside_it(tmp_path, monkeypatch):
    """A working directory, named by a dot, cannot be; what was to hold it stayed."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OSError, match=r"busy|in use"), files.new_folder(Path()) as staging:
        (staging / "a").write_bytes(b"new")
    assert list((tmp_path / "here").iterdir()) == []


def test_others_may_read_what_is_written(tmp_path):
    before = os.umask(0o022)
    try:
        files.write_bytes(tmp_path / "a", b"")
        with files.new_folder(tmp_path / "b"):
            pass
        assert os.umask(0o022) == 0o022  # left as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755


def test_json_that_others_cannot_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert contents(tmp_path) == {}


def test_a_folder_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "deep" / "run"
    with files.new_folder(target) as staging:
        (staging / "a").write_bytes(b"1")
        assert not target.exists()
    assert contents(tmp_path) == {"deep/run/a": b"1"}


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.new_folder(tmp_path / "run") as staging:
        (staging / "a").write_bytes(b"1")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_fails_leaves_the_one_before_it(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_bytes(b"old")
    with pytest.raises(ValueError, match="half"), files.new_folder(tmp_path / "run") as staging:
        (staging / "a").write_bytes(b"new")
        raise ValueError("half way")
    assert contents(tmp_path) == {"run/a": b"old"}


def test_a_folder_replaces_the_one_before_it(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "gone").write_bytes(b"old")
    with files.new_folder(tmp_path / "run") as staging:
        (staging / "a").write_bytes(b"new")
    assert contents(tmp_path) == {"run/a": b"new"}


def test_unreadable_json_names_the_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*nothing\.json: No such file"):
        files.read_json(tmp_path / "nothing.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match=r"bad\.json is not JSON"):
        files.read_json(tmp_path / "bad.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary\.json is not JSON"):
        files.read_json(tmp_path / "binary.json")


def test_a_folder_that_cannot_take_its_place_gives_it_back(tmp_path, monkeypatch):
    """As when the disk fails between the two moves: nothing of the old one is lost."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_bytes(b"old")
    move = os.replace

    def moves_nothing_new(source, target):
        if (Path(source) / "new").exists():
            raise OSError("no")
        move(source, target)

    with pytest.raises(OSError, match="no"), files.new_folder(tmp_path / "run") as staging:
        (staging / "new").write_bytes(b"new")
        monkeypatch.setattr(os, "replace", moves_nothing_new)
    assert contents(tmp_path) == {"run/a": b"old"}


# -- what killed writes left --------------------------------------------------------------------


def dead_owner() -> str:
    """How the temporary names of a process begin that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    host = re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())[:60]
    return f"{process.pid}-1-{host}"


def killed_in(folder: Path, code: str) -> None:
    """A process of its own that writes into ``folder``, and is killed in the middle."""
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom interp.support import files\n"
        f"def die(*_): os.kill(os.getpid(), signal.SIGKILL)\nfolder = Path({str(folder)!r})\n{code}"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL


ROOT = Path(files.__file__).resolve().parents[2]
KILLS = {
    "in a file": "os.fsync = die\nfiles.write_bytes(folder / 'a', b'new')",
    "in a folder": "with files.new_folder(folder / 'a') as new:\n  (new / 'b').touch()\n  die()",
    "in a file of a folder": (
        "with files.new_folder(folder / 'a') as new:\n"
        "  os.fsync = die\n  files.write_bytes(new / 'b', b'new')"
    ),
}


@pytest.mark.parametrize("moment", KILLS)
def test_what_a_killed_write_left_is_gone_after_the_next(moment, tmp_path):
    killed_in(tmp_path, KILLS[moment])
    assert list(tmp_path.glob(".*"))  # positive control
    files.write_bytes(tmp_path / "other", b"1")
    assert contents(tmp_path) == {"other": b"1"}
    assert list(tmp_path.glob(".*")) == []


def test_a_folder_that_a_kill_took_away_comes_back(tmp_path):
    """Killed between the two moves: the old one is aside, the new one was never moved in."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_bytes(b"old")
    killed_in(
        tmp_path,
        "move = os.replace\n"
        "def once(a, b):\n  move(a, b)\n  die()\n"
        "with files.new_folder(folder / 'run') as new:\n"
        "  (new / 'a').write_bytes(b'new')\n  os.replace = once",
    )
    assert not (tmp_path / "run").exists()
    files.sweep(tmp_path)
    assert contents(tmp_path) == {"run/a": b"old"}
    assert list(tmp_path.glob(".*")) == []


def test_what_somebody_is_writing_stays(tmp_path):
    """Of a process that lives, of another machine, or of no write of ours."""
    mine = files._temporary("a") + "abc"
    others = [f".a.new-1-1-elsewhere.{'x' * 8}", ".a.partial", ".a.new-x-1-here.abc", ".gitignore"]
    for name in (mine, *others):
        (tmp_path / name).write_bytes(b"")
    files.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mine, *others}
    os.utime(tmp_path / others[0], (0, 0))  # another machine's, of long ago
    (tmp_path / f".a.new-{dead_owner()}.abc").write_bytes(b"")
    files.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mine, *others[1:]}


# -- places -------------------------------------------------------------------------------------


def test_a_place_is_tried_without_a_trace(tmp_path):
    for folder in (tmp_path, tmp_path / "new", tmp_path / "a" / "b" / "c", tmp_path / "x/../y"):
        files.check_place(folder)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    bad = ["file", "file/under", "gone", "gone/under", "x" * 300, "a/" + "x" * 300]
    for place in [*(tmp_path / name for name in bad), Path("/proc/nope"), Path("/dev/null/x")]:
        with pytest.raises(UserError, match="cannot write to"):
            files.check_place(place)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "gone"}


@pytest.fixture
def no_root() -> Iterator[None]:
    """Root may write anywhere: for a while, be nobody."""
    me = os.geteuid()
    if not me:
        os.seteuid(65534)
    yield
    os.seteuid(me)


def test_a_folder_that_may_only_be_read_is_found_at_once(no_root):
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        Path(name).chmod(0o500)
        with pytest.raises(UserError, match=f"cannot write to {name}/new: Permission denied"):
            files.check_place(Path(name) / "new")
        with pytest.raises(PermissionError):
            files.write_bytes(Path(name) / "a", b"")


def test_a_full_disk_is_found_before_the_work(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        files.check_place(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
