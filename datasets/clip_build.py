"""Videos to packs: decodes the clips that a cache lacks, in child processes where more than one may work."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from datasets import jpeg_frames, video_io
from datasets.cache_folder import HOME, Budget, Storage, limit_bytes, safe
from datasets.clip_packs import Entry, PackWriter, leftovers, load_entries
from datasets.contained import Lost, contained
from datasets.decoders import DECODERS, order
from datasets.decoding_rounds import decoded_in_rounds
from datasets.errors import UserError
from datasets.file_hashes import Known
from datasets.manifest import Pin, decode_pinned, pins
from datasets.progress import tracked

PACK_BYTES = 1 << 30
"""A build publishes what it has at this size or an eighth of what it has published, whichever is more: a
killed one loses little, and a reader of the largest cache opens a hundred files, not thousands."""

Block = NDArray[np.uint8] | bytes | None


@dataclass(frozen=True)
class Job:
    """A file to decode, as it was when it was hashed, and what `data verify` has found out about it.

    `decoders`: whom to ask; by default all, the one of the storage first.
    """

    path: Path
    known: Known
    storage: Storage
    pin: Pin | None = None
    decoders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The entry of a clip, its block (None: it cannot be decoded), and whether that is worth keeping."""

    entry: Entry
    block: Block
    keep: bool = True


def decode(job: Job) -> Outcome:
    """Decodes the file of a job; a failure is an outcome, too.  Runs in a child process."""
    content = job.known.sha256
    try:
        asked = job.decoders or order(job.storage.decoder)
        found = decode_pinned(job.path, job.storage.short_side, asked, job.pin)
    except video_io.UndecodableError as error:
        outcome = Outcome(Entry(content, error=error.reason), None)
    else:
        frames, height, width, _ = found.frames.shape
        entry = Entry(
            content,
            frames=frames,
            height=height,
            width=width,
            decoder=found.decoder,
            flaw=found.flaw,
        )
        whole = np.ascontiguousarray(found.frames)
        block: Block = jpeg_frames.encode(whole) if job.storage.form == "jpeg" else whole.reshape(-1)
        outcome = Outcome(entry, block)
    return outcome if _unchanged(job) else _moving(content)


def _unchanged(job: Job) -> bool:
    try:
        stat = job.path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == job.known[1:]


def _moving(content: str) -> Outcome:
    return Outcome(Entry(content, error="the file changed while it was read"), None, keep=False)


def build(
    root: Path, name: str, jobs: Mapping[str, Job], workers: int, progress: bool, keep: Collection[str]
) -> dict[str, str]:
    """Decodes clips by content hash into new packs; several processes may do so at once.

    Args:
        root: folder of all caches.
        name: of the data set; its builds wait for each other, and find each other's clips.
        jobs: by content hash, all of one storage.
        workers: child processes that decode; 0 decodes in this process.
        progress: whether to show it.
        keep: content hashes of further clips whose packs are in use and must not be removed.

    Returns:
        Reasons, by content hash, of clips that could not be decoded and are not in the packs.

    Raises:
        UserError: the disk or the cache is full, or the folder cannot be written.
    """
    folder = root / next(iter(jobs.values())).storage.folder
    with full_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{safe(name)}.lock"):
            for path in leftovers(folder, safe(name)):
                path.unlink(missing_ok=True)
            storage = next(iter(jobs.values())).storage
            entries = usable_entries(root, name, storage)
            pinned = {pin.sha256: pin for pin in pins(name, storage.decoder).values()}
            left = {
                content: changed(job, pin=pinned.get(content), decoders=order(storage.decoder))
                for content, job in jobs.items()
                if content not in entries
            }
            used = {entries[content].pack for content in (*keep, *jobs) if content in entries} - {""}
            writer = _Writer(folder, name, {folder / pack for pack in used})
            results = tracked(_decoded(left, workers), len(left), f"decoding {name}", shown=progress)
            with contextlib.closing(results):
                return writer.write(results)


def usable_entries(root: Path, name: str, storage: Storage) -> dict[str, Entry]:
    """What a cache has, by content; without clips that nobody could read then but, as verified, can now."""
    entries = load_entries(root / storage.folder)
    if any(entry.error for entry in entries.values()):
        readable = {pin.sha256 for pin in pins(name, storage.decoder).values() if pin.error is None}
        return {key: entry for key, entry in entries.items() if not entry.error or key not in readable}
    return entries


def replace(folder: Path, name: str, outcome: Outcome) -> None:
    """Caches a clip again whose older copy is damaged; does nothing where that is not possible."""
    with contextlib.suppress(OSError, UserError):
        _Writer(folder, name, set()).write(iter([(outcome.entry.sha256, outcome)]))


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Turns a full disk or a folder that cannot be written into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            message = f"the disk of {folder} is full; free some space (what is cached stays usable), or point"
            raise UserError(f"{message} {HOME} or --cache to another disk.") from error
        raise UserError(f"the clip cache {folder} cannot be written: {error.strerror}.") from error


class _Writer:
    """Writes outcomes into packs; publishes what is whole also when it is interrupted."""

    def __init__(self, folder: Path, name: str, used: set[Path]) -> None:
        self._folder, self._owner = folder, safe(name)
        self._used = used
        limit = limit_bytes()
        self._budget = Budget(folder.parent, limit, name)
        self._pack_bytes = PACK_BYTES if limit is None else min(PACK_BYTES, limit // 8)
        self._published = 0

    def write(self, results: Iterator[tuple[str, Outcome]]) -> dict[str, str]:
        """Returns reasons of clips that are not worth keeping, by content hash."""
        lost: dict[str, str] = {}
        pack = PackWriter(self._folder, self._owner)
        try:
            for content, outcome in results:
                if not outcome.keep:
                    lost[content] = str(outcome.entry.error)
                    continue
                if outcome.block is not None:
                    self._budget.spend(len(outcome.block), self._used)
                pack.add(outcome.entry, outcome.block)
                if pack.size >= max(self._pack_bytes, self._published // 8):
                    self._publish(pack)
                    pack = PackWriter(self._folder, self._owner)
        except BaseException:
            # The first failure is the one to tell: on a full disk even the index may not fit any more.
            with contextlib.suppress(OSError):
                pack.publish()
            raise
        pack.publish()
        return lost

    def _publish(self, pack: PackWriter) -> None:
        self._used.add(pack.publish())
        self._published += pack.size


def decode_again(path: Path, known: Known, storage: Storage, decoder: str) -> Outcome:
    """Decodes one file with the decoder that read it before, in a child process."""
    job = Job(path, known, storage, decoders=order(decoder))
    ((_, outcome),) = _decoded({known.sha256: job}, workers=1)
    return outcome


def _decoded(jobs: Mapping[str, Job], workers: int) -> Iterator[tuple[str, Outcome]]:
    contents, work = list(jobs), list(jobs.values())
    if workers == 0:
        for content, job in jobs.items():
            yield content, decode(job)
        return
    with contextlib.closing(decoded_in_rounds(decode, work, workers)) as outcomes:
        for place, result, failed in outcomes:
            content = contents[place]
            if isinstance(result, Lost):
                reason = "; ".join(filter(None, (failed, result.reason)))
                crashed = Outcome(Entry(content, error=reason), None, keep=not result.outside)
                yield content, crashed if _unchanged(work[place]) else _moving(content)
            elif failed and result.entry.error is None:
                flaw = "; ".join(filter(None, (result.entry.flaw, failed)))
                yield content, changed(result, entry=result.entry._replace(flaw=flaw))
            else:
                yield content, result


@dataclass(frozen=True)
class Estimate:
    """What caching clips will take, judged by a few of them: bytes, seconds of one process, clips tried."""

    bytes: int
    seconds: float
    tried: int


def estimate(paths: list[Path], storage: Storage, sample: int = 12) -> Estimate:
    """Decodes up to `sample` clips, evenly spread over the list, and scales up by the files' sizes."""
    sizes = [_size(path) for path in paths]
    places = np.unique(np.linspace(0, len(paths) - 1, min(sample, len(paths))).astype(int))
    jobs = [Job(paths[place], Known("", *_stat(paths[place])), storage) for place in places]
    tried = [each for _, each in contained(trial_decode, jobs, workers=1) if not isinstance(each, Lost)]
    read = sum(sizes[place] for place in places)
    factor = sum(sizes) / read if read else 0.0
    stored, seconds = (sum(column) for column in zip(*tried, strict=True)) if tried else (0, 0.0)
    return Estimate(int(stored * factor), seconds * factor, len(places))


def trial_decode(job: Job) -> tuple[int, float]:
    """The bytes of a clip in its store and the seconds that it takes.  Runs in a child process."""
    DECODERS[job.storage.decoder].missing()  # loads the libraries, which is not counted
    started = time.perf_counter()
    block = decode(job).block
    return 0 if block is None else len(block), time.perf_counter() - started


def _size(path: Path) -> int:
    return max(0, _stat(path)[0])


def _stat(path: Path) -> tuple[int, int]:
    try:
        stat = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns
