"""An address of a Ray cluster at which there is none: one sentence, soon."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.address import GREETING, check_answers
from datasets.errors import UserError


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody who listens on this machine."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


def _answer(listener: socket.socket, words: bytes, callers: int = 1) -> str:
    """Lets it answer; gives its address."""

    def answer() -> None:
        for _ in range(callers):
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(len(GREETING)) == GREETING
                connection.sendall(words)

    threading.Thread(target=answer, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_nobody_listens(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(
        UserError, match=rf"--address localhost:{port}: nobody answers there .*leave --address out"
    ):
        check_answers(f"localhost:{port}", "127.0.0.1")


def test_somebody_listens_and_says_nothing(listener: socket.socket) -> None:
    with pytest.raises(UserError, match=r"nobody answers there \(timed out\)"):
        check_answers(f"127.0.0.1:{listener.getsockname()[1]}", "127.0.0.1", seconds=0.2)


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-", b""])
def test_somebody_else_listens(listener: socket.socket, words: bytes) -> None:
    with pytest.raises(UserError, match="who answers there is not Ray"):
        check_answers(_answer(listener, words), "127.0.0.1")


def test_a_server_of_grpc_is_let_through(listener: socket.socket) -> None:
    settings = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 64, 0])
    check_answers(_answer(listener, settings, callers=2), "127.0.0.1")
    check_answers("auto", "127.0.0.1")


def test_where_ray_goes_instead_of_a_loopback_address_is_asked_too(listener: socket.socket) -> None:
    address = _answer(listener, bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    with pytest.raises(UserError, match=r"nobody answers at 127\.0\.0\.9:\d+, which Ray takes it for"):
        check_answers(address, "127.0.0.9")


@pytest.mark.parametrize("address", ["localhost", "ray://host:10001", "host:", "host:port", ":6379"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(UserError, match="write 'auto' or HOST:PORT"):
        check_answers(address, "127.0.0.1")
