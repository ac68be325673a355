"""Whether decoders give back what they take: one process opens clips again and again.

Each decoder has a process of its own.  In turn it reads, in full, a small H.264 clip, one in MPEG-TS, and a
file that is cut in its middle, through `video_io.decode`, which also counts packets with PyAV.  Memory, open
files and threads are noted after a tenth of the opens (libraries are loaded, pools filled) and at the end.

Example: python benchmarks/decoder_memory.py --opens 5000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import psutil

from datasets import video_io
from datasets.decoders import DECODERS

MIB = 1 << 20


class Held(NamedTuple):
    """What a process holds: resident MiB, file descriptors, threads."""

    mib: float
    files: int
    threads: int


def held() -> Held:
    """What this process holds."""
    process = psutil.Process()
    return Held(process.memory_info().rss / MIB, process.num_fds(), process.num_threads())


def make_files(folder: Path) -> list[Path]:
    """The three files."""
    ground = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    frames = np.stack([ground[t : t + 64, 2 * t : 2 * t + 96] for t in range(8)])
    whole, stream, cut = folder / "whole.mp4", folder / "stream.ts", folder / "cut.mp4"
    video_io.write_video(whole, frames)
    with av.open(str(whole)) as source, av.open(str(stream), "w") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copied
                target.mux(packet)
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    return [whole, stream, cut]


def measure(decoder: str, opens: int) -> tuple[Held, Held, dict[str, int]]:
    """What this process holds after a tenth of the opens and after all, and how many were read by whom."""
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder))
        early = held()
        for turn in range(opens):
            if turn == opens // 10:
                early = held()
            try:
                reader = video_io.decode(files[turn % len(files)], 32, decoder).decoder
            except video_io.UndecodableError:
                reader = "nobody"
            counts[reader] = counts.get(reader, 0) + 1
        return early, held(), counts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--opens", type=int, default=5000)
    parser.add_argument("--decoder", choices=list(DECODERS), help="this one alone, as one line of JSON")
    given = parser.parse_args()
    if given.decoder:
        print(json.dumps(measure(given.decoder, given.opens)))
        return
    print(f"{'decoder':10s} {'MiB':>15s} {'files':>9s} {'threads':>9s}  read by")
    for name, decoder in DECODERS.items():
        if decoder.missing():
            print(f"{name:10s} is missing here: {decoder.missing()}")
            continue
        command = [sys.executable, __file__, "--decoder", name, "--opens", str(given.opens)]
        early, late, counts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        pairs = [f"{one:.4g} > {other:.4g}" for one, other in zip(early, late, strict=True)]
        print(f"{name:10s} {pairs[0]:>15s} {pairs[1]:>9s} {pairs[2]:>9s}  {counts}")


if __name__ == "__main__":
    main()
