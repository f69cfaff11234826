"""Asking what is no server of ours, or not one of this version, ends with one clear line and exit code 2."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.lab import Listener
from tests.shop import swarmtask

HTML = b"<html>Sign in \x1b[31mhere</html>"
OURS = "swarmtask-api: 1\r\n"
TEXT = "content-type: text/plain\r\n"


def answer(status: str, headers: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


def problem(status: str, content: object) -> bytes:
    headers = f"{OURS}content-type: application/problem+json\r\n"
    return answer(status, headers, json.dumps(content).encode())


@contextmanager
def stranger(reply: bytes) -> Iterator[str]:
    """Run a server that answers each request with the same bytes, and yield its address."""

    def serve(client: socket.socket) -> None:
        with closing(client):
            data = b""
            while b"\r\n\r\n" not in data and (more := client.recv(65536)):
                data += more
            client.sendall(reply)

    listener = Listener(serve)
    try:
        yield f"http://127.0.0.1:{listener.port}/p/shop/"
    finally:
        listener.close()


NOT_OURS = "is not the address of a swarmtask server: it"
CUT = ": the answer did not arrive in 30 s, or has more than 256 MB"
LOGIN = "location: https://login.example/?token=secret#x\r\n"
SSH = "the answer is not valid HTTP: its first line is 'SSH-2.0-OpenSSH'"
NEWER = "speaks version 2 of the API, this command 1: update pytest-swarmtask where it is older"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer("200 OK", "content-type: text/html\r\n", HTML), f"{NOT_OURS} answered 200 with text/html"),
        (answer("401 No", "content-type: text/html\r\n", HTML), f"{NOT_OURS} answered 401 with text/html"),
        (answer("407 No", "", b""), f"{NOT_OURS} answered 407 with no type"),
        (answer("302 Found", LOGIN, b""), f"{NOT_OURS} redirects to https://login.example/"),
        (answer("200 OK", "swarmtask-api: 2\r\n", b"{}"), NEWER),
        (answer("500 Oh", OURS, b"Internal Server Error"), "answered 500"),
        (problem("500 Oh", ["no object"]), "answered 500"),
        (answer("200 OK", OURS, b""), CUT),
        (answer("200 OK", OURS, b"12345")[:-3], CUT),
        (b"SSH-2.0-OpenSSH\r\n\r\n", f"cannot be asked: {SSH}"),
        (b"", "cannot be asked: closed the connection without an answer"),
    ],
)
def test_a_stranger(tmp_path: Path, reply: bytes, expected: str) -> None:
    with stranger(reply) as address:
        done = swarmtask(tmp_path, "report", "--from", address)
    where = address.removesuffix("/p/shop/")
    glue = "" if expected.startswith(":") else " "
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"swarmtask: {where}{glue}{expected}\n")


@pytest.mark.parametrize("detail", ["there is no project 'shop'", "there is \x1b[31mno\x07 project"])
def test_the_problem_of_a_server_is_told(tmp_path: Path, detail: str) -> None:
    with stranger(problem("404 Not Found", {"detail": detail})) as address:
        done = swarmtask(tmp_path, "report", "--from", address)
    shown = detail.replace("\x1b", "\\x1b").replace("\x07", "\\x07")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"swarmtask: {shown}\n")


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--json"]], ids=str)
def test_no_text_of_a_server_steers_the_terminal(tmp_path: Path, form: list[str]) -> None:
    """Colours are all that a server may have."""
    hostile = "\x1b[1;31mred\x1b[0m\ttab \x1b]0;title\x07 \x1b[2J \x9b31m \u202e \r over\n"
    with stranger(answer("200 OK", OURS + TEXT, hostile.encode())) as address:
        done = swarmtask(tmp_path, "report", *form, "--from", address)
    assert done.returncode == 0
    assert done.stdout == ("\x1b[1;31mred\x1b[0m\ttab \\x1b]0;title\\x07 \\x1b[2J \\x9b31m \\u202e \\x0d over\n")
