"""Who may talk to the server, and that nobody else is asked anything."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.browser import free_port
from explorer.server.guard import known_host, known_origin

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_NETWORK = '''
"""A resolver and sockets that know this machine alone, and write down who wanted more."""
import os, socket
HERE = {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"}
def refuse(what, where):
    with open(os.environ["ASKED"], "a") as file:
        print(what, where, file=file)
    raise OSError("there is no network here")
resolve = socket.getaddrinfo
def getaddrinfo(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    return resolve(host, *args, **kwargs) if name in HERE else refuse("lookup", name)
class Socket(socket.socket):
    def _check(self, what, address):
        if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in HERE:
            refuse(what, address)
    def connect(self, address):
        self._check("connect", address)
        return super().connect(address)
    def connect_ex(self, address):
        self._check("connect_ex", address)
        return super().connect_ex(address)
    def sendto(self, data, *rest):
        self._check("sendto", rest[-1])
        return super().sendto(data, *rest)
socket.getaddrinfo, socket.socket = getaddrinfo, Socket
'''


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8501", True),
        ("LOCALHOST", True),
        ("localhost.:8501", True),
        ("127.0.0.1:8501", True),
        ("[::1]:8501", True),
        ("", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example:8501", False),
        ("localhost:port", False),
        ("localhost@evil.example", False),
        ("evil@localhost", False),
        ("localhost/evil", False),
        ("192.168.0.7:8501", False),
    ],
)
def test_only_names_of_this_machine_are_known(host, known):
    assert known_host(host) == known


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        (None, True),  # no browser
        ("http://localhost:8501", True),
        ("http://127.0.0.1:8501", True),
        ("http://[::1]:3000", True),
        ("null", False),
        ("", False),
        ("http://evil.example", False),
        ("http://localhost.evil.example", False),
        ("https://evil.example:8501", False),
    ],
)
def test_only_pages_of_this_server_may_connect(origin, known):
    assert known_origin(origin, "localhost:8501") == known
    assert known_origin(origin, "") == known


@pytest.fixture
def offline(tmp_path) -> dict[str, str]:
    """The environment of a process that can reach nothing but this machine."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_NETWORK)
    paths = [str(tmp_path), str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "ASKED": str(tmp_path / "asked")}


@pytest.fixture
def port(offline) -> Iterator[int]:
    """The README's server."""
    number = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    process = subprocess.Popen([*command, "--server.port", str(number)], cwd=ROOT, env=offline)
    try:
        deadline = time.monotonic() + 120
        while answer(number, "/_stcore/health") != 200:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield number
    finally:
        process.terminate()
        process.wait(30)


def answer(port: int, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def upgrade(port: int, **headers: str) -> int:
    """The status that a websocket is answered with."""
    wish = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    wish["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    return answer(port, "/_stcore/stream", **wish, **headers)


@pytest.mark.slow
def test_a_server_refuses_strangers_and_asks_nobody(port, tmp_path):
    """It looked up an outside service for its own address whenever a stranger connected."""
    for origin in ("http://evil.example", "null", "http://10.0.0.1:8501"):
        assert upgrade(port, Origin=origin) == 403
    assert upgrade(port, Origin=f"http://localhost:{port}") == 101
    assert upgrade(port, Host="evil.example", Origin="http://evil.example") == 403
    assert answer(port, "/", Host="evil.example") == 403
    assert answer(port, "/") == answer(port, "/", Host="127.0.0.1") == 200
    assert not (tmp_path / "asked").exists(), (tmp_path / "asked").read_text()


SMALL = ["--max-len", "3", "--d-mlp", "8", "--d-model", "8", "--n-heads", "2", "--d-head", "4"]


@pytest.mark.slow
def test_training_and_an_analysis_ask_nobody(offline, tmp_path):
    runs = str(tmp_path / "runs")
    train = ["training/train.py", *SMALL, "--steps", "2", "--threads", "1", "--out", runs]
    look = ["-m", "analyses.one_list.answer", "--out", str(tmp_path / "results")]
    for command in (train, look):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=offline, check=False)
        assert done.returncode == 0
    assert not (tmp_path / "asked").exists(), (tmp_path / "asked").read_text()


def test_the_guard_of_these_tests_works(offline, tmp_path):
    """Positive control: whoever asks is written down."""
    ask = "import socket; socket.getaddrinfo('example.org', 80)"
    done = subprocess.run([sys.executable, "-c", ask], env=offline, check=False, stderr=-3)
    assert done.returncode == 1
    assert (tmp_path / "asked").read_text() == "lookup example.org\n"
