"""The minimum cost of a delivery: httpx posts the bodies of a file in turn. ``python -m benchmarks.loop FILE URL``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx


def bodies(file: Path) -> Iterator[tuple[str, bytes]]:
    """Yield content type and body of each request that `benchmarks.server` has kept."""
    with file.open("rb") as kept:
        while head := kept.readline():
            size, _, kind = head.decode().partition(" ")
            yield kind.strip(), kept.read(int(size))


def main(file: str, url: str) -> None:
    """Post everything over one connection."""
    with httpx.Client() as client:
        for kind, body in bodies(Path(file)):
            client.post(url, content=body, headers={"content-type": kind}).raise_for_status()


if __name__ == "__main__":
    main(*sys.argv[1:3])
