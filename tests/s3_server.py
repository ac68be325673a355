"""A server on this machine that speaks S3, started by the tests."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow.fs

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3:
    """A running server; every call of `uri` names a new bucket."""

    port: int
    names: Iterator[int] = field(default_factory=itertools.count)
    credentials: Mapping[str, str] = field(default_factory=lambda: CREDENTIALS)

    def uri(self, *, make: bool = True) -> str:
        """The URI of a prefix in a bucket of its own, which is made unless the test wants it missing."""
        bucket = f"bucket-{next(self.names)}"
        options = f"endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"
        if make:
            system, path = pyarrow.fs.FileSystem.from_uri(
                f"s3://{bucket}?{options}&allow_bucket_creation=true"
            )
            system.create_dir(path)
        return f"s3://{bucket}/some/prefix?{options}"


def serve() -> Iterator[S3]:
    """Starts the server, and stops it after use."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server: Any = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield S3(server.get_host_and_port()[1])
    finally:
        server.stop()
