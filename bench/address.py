"""Whether a Ray cluster answers at an address: Ray itself would try for minutes, or for ever, and loudly."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import time
from pathlib import Path

from datasets.errors import UserError

SECONDS = 10.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")

GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of HTTP/2, on which Ray's gRPC lies, begins: preface and empty settings (RFC 9113, 3.4)."""
HEADER, KIND, SETTINGS = 9, 3, 4
"""Length of a frame's header, the place of the frame's kind in it, and the kind that a server sends first."""


def check_answers(address: str, here: str, seconds: float = SECONDS) -> None:
    """That something that can be Ray listens at an address.

    Args:
        address: HOST:PORT, or "auto", which Ray looks up on this machine.
        here: the address of this machine, which Ray puts in the place of a loopback address.
        seconds: how long it may take to answer.

    Raises:
        UserError: it is no such address, or nobody answers, or somebody else does.
    """
    place = noted_address() if address == "auto" else address
    if not place:
        return  # Ray looks for a cluster, and says at once that there is none
    found = re.fullmatch(r"(?P<host>[^/]+):(?P<port>\d{1,5})", place)
    if found is None:
        raise UserError(
            f"--address {address}: write 'auto' or HOST:PORT, as 'ray start --head' prints it, on a machine "
            "of the cluster."
        )
    host, port = found["host"].strip("[]"), int(found["port"])
    _ask(address, "there" if place == address else f"at {place}", host, port, seconds)
    if host in LOOPBACK:
        _ask(address, f"at {here}:{port}, which Ray takes it for,", here, port, seconds)


def _ask(address: str, where: str, host: str, port: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            greeted = _greeted(connection, end)
    except (OSError, OverflowError) as error:
        raise UserError(f"--address {address}: nobody answers {where} ({error}); {_cure()}.") from error
    if not greeted:
        raise UserError(f"--address {address}: who answers {where} is not Ray; {_cure()}.")


def noted_address() -> str:
    """Where the Ray cluster of this machine is, as `ray start` has noted it; "" where it has not."""
    noted = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / "ray" / "ray_current_cluster"
    try:
        return os.environ.get("RAY_ADDRESS") or noted.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _cure() -> str:
    return "see whether the cluster runs ('ray status' on its head), or leave --address out"


def _greeted(connection: socket.socket, end: float) -> bool:
    """Whether the other side begins as a server of HTTP/2 does."""
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True  # it waits for a handshake, which Ray's own settings are needed for
    connection.sendall(GREETING)
    got = b""
    while len(got) < HEADER:
        connection.settimeout(max(0.01, end - time.monotonic()))
        part = connection.recv(HEADER - len(got))
        if not part:
            return False
        got += part
    return got[KIND] == SETTINGS
