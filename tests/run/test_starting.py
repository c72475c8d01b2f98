"""How a server starts and stops: what is in its way is told at once, in one line."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from immune.errors import Fatal, InvalidInput
from immune.run.folder import data_folder, salt_of
from immune.run.listener import address_of, listen
from immune.settings import ServerSettings


def immune(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `folder`."""
    return subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-m", "immune", *arguments],
        cwd=folder,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`immune serve` on a free port, once it answers."""
    command = [sys.executable, "-m", "immune", "serve", "--port", "0"]
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        command, cwd=folder, env={"PATH": ""}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = next(line for line in process.stderr if '"serving"' in line)
            address = json.loads(said)["address"]
            yield process, int(address.rstrip("/").rpartition(":")[2])
        finally:
            process.kill()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("verb", ["serve", "demo"])
def test_a_taken_port_is_told_before_anything_else(tmp_path: Path, taken: int, verb: str) -> None:
    """One exit code, a line that names the port, and neither history nor a folder was made."""
    done = immune(tmp_path, verb, "--port", str(taken))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"immune: port {taken} of 127.0.0.1 is in use: .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[server", b"[server]\nport = -1\n"])
def test_settings_that_make_no_sense_are_wrong_usage(tmp_path: Path, text: bytes) -> None:
    """Exit code 2 and one line, whatever is wrong with the file."""
    (tmp_path / "immune.toml").write_bytes(text)
    done = immune(tmp_path, "serve", "--config", "immune.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"immune: .*\n", done.stderr)


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """Exit code 1 and one line with the folder and what to do."""
    (tmp_path / "file").write_text("")
    done = immune(tmp_path, "serve", "--port", "0", "--data", "file/data")
    assert done.returncode == 1
    assert re.fullmatch(
        r"immune: the data folder file/data cannot be written to: .*--data.*\n", done.stderr
    )
    with pytest.raises(Fatal, match="a file stands there"):
        data_folder(str(tmp_path / "file"))


def test_the_salt_is_made_once(tmp_path: Path) -> None:
    """It stays the same, only its owner reads it, and an empty one is not taken for one."""
    first = salt_of(tmp_path).label("prompt")
    assert salt_of(tmp_path).label("prompt") == first
    assert [file.name for file in tmp_path.iterdir()] == ["salt"]
    assert (tmp_path / "salt").stat().st_mode & 0o077 == 0
    (tmp_path / "salt").write_bytes(b"")
    with pytest.raises(Fatal, match="is empty"):
        salt_of(tmp_path)


def test_only_loopback_is_listened_on() -> None:
    """There are no keys yet; the address that is told can be opened."""
    with pytest.raises(InvalidInput, match=r"server\.host: 0\.0\.0\.0 is not loopback"):
        listen(ServerSettings(host="0.0.0.0"))  # noqa: S104  # it is refused
    with listen(ServerSettings(port=0)) as listener:
        port = listener.getsockname()[1]
        assert address_of(listener, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        assert address_of(listener, "::1") == f"http://[::1]:{port}/"


def test_a_server_stops_though_requests_are_half_sent(tmp_path: Path) -> None:
    """SIGTERM: those who still send get 503, the exit code is 0, and no fault is logged."""
    with serving(tmp_path) as (process, port):
        clients = []
        for path in ("/api/vitals", "/v1/traces", "/api/mode"):
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000\r\n"
            client.sendall(f'{head}Content-Type: application/json\r\n\r\n{{"agent'.encode())
            clients.append(client)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as probe:
            # an answer to this one shows that the server has got to the others
            probe.sendall(f"GET /api/status HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert b"200" in probe.recv(100)
        process.send_signal(signal.SIGTERM)
        for client in clients:
            with client:
                assert client.recv(100).startswith(b"HTTP/1.1 503 ")
        assert process.wait(20) == 0
        assert process.stderr is not None
        log = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert not [line for line in log if "exception" in line]
