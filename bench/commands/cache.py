"""`bench data cache`: decode once, ahead of time; see and remove what is cached."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands import options

if TYPE_CHECKING:
    from datasets.cache_folder import Storage
    from datasets.clip_build import Estimate
    from datasets.types import ClipRef

app = typer.Typer(help="Decode clips ahead of time, list and remove what is cached.", no_args_is_help=True)
SHORT_SIDE = 256
"""Of the suites' real sections."""


class Form(StrEnum):
    """How frames are stored."""

    raw = "raw"
    jpeg = "jpeg"


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="Any data set that is on this machine.")],
    form: Annotated[
        Form,
        typer.Option("--store", help="raw: exact. jpeg: less disk, not exact, slower to read."),
    ] = Form.raw,
    short_side: Annotated[
        int, typer.Option("--short-side", min=8, help="Shorter side of the frames, as in the suite.")
    ] = SHORT_SIDE,
    whole: Annotated[bool, typer.Option("--whole", help="Keep each video's own size.")] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Default: one per CPU.")] = None,
    decoder: options.Decoder = None,
    cache: options.Cache = None,
    cache_gib: options.CacheGib = None,
    plugin: options.Plugins = None,
) -> int:
    """Decode the clips of a data set that are not cached yet; says first what that will take.

    A run does the same where it is needed. Interrupted, the same command goes on. A suite's `short_side` and
    `store` decide what its trials read; those of `run --decoder` are cached with the same --decoder.

    Example: python -m bench data cache build gym99 --store jpeg --short-side 256 --workers 8
    """
    options.use_cache(cache, cache_gib)
    options.load_plugins(plugin)
    from bench import exit_codes, plugins
    from bench.schedule import available_cpus
    from datasets.cache_folder import Storage, cache_home
    from datasets.clip_build import estimate
    from datasets.clip_cache import ClipCache
    from datasets.decoders import DECODERS, DEFAULT
    from datasets.errors import unknown_name

    first = decoder or DEFAULT
    if first not in DECODERS:
        raise unknown_name("decoder", first, DECODERS, "--decoder")
    storage = Storage(None if whole else short_side, form.value, first)
    data = plugins.dataset(name)
    clips, given = data.table().clips(), (name, storage.short_side, None)
    if not ClipCache.complete(clips, *given, first, storage.form):
        data.prepare()
        lacking = [clip.path for clip in ClipCache.lacking(clips, *given, first, storage.form)]
        if lacking:
            count = workers or available_cpus()
            _announce(name, storage, len(lacking), estimate(lacking, storage), count, cache_home())
            ClipCache.open(clips, *given, workers=count, decoder=first, form=storage.form)
    opened = ClipCache.open(clips, *given, progress=False, decoder=first, form=storage.form)
    _tell(name, clips, opened.errors, storage)
    return exit_codes.FINDINGS if opened.errors else exit_codes.OK


def _tell(name: str, clips: Sequence[ClipRef], errors: Mapping[str, str], storage: Storage) -> None:
    """What is cached now, and what is not."""
    from datasets.cache_folder import cache_home
    from datasets.decoders import DEFAULT

    print(f"{name}: {len(clips) - len(errors)} of {len(clips)} clips are in {cache_home() / storage.folder}")
    for key, reason in sorted(errors.items())[: options.SHOWN]:
        print(f"left out: {key}: {reason}")
    if len(errors) > options.SHOWN:
        print(f"and {len(errors) - options.SHOWN} more")
    if errors:
        given = "" if storage.decoder == DEFAULT else f" --decoder {storage.decoder}"
        print(f"what to do about each: python -m bench data verify {name}{given}")


def _announce(name: str, storage: Storage, clips: int, guess: Estimate, workers: int, home: Path) -> None:
    """Says what is ahead, and refuses what cannot fit.

    Raises:
        UserError: the estimate is beyond the cache's limit, or beyond the free space of its disk.
    """
    from datasets.cache_folder import limit_bytes
    from datasets.errors import UserError

    place = next(path for path in (home, *home.parents) if path.exists())
    free, most = shutil.disk_usage(place).free, limit_bytes()
    print(
        f"{name}: {clips} clips to decode into {storage.folder}, about {size(guess.bytes)} and "
        f"{duration(guess.seconds / workers)} with {workers} workers (from {guess.tried} clips); "
        f"{size(free)} of {place} are free",
        flush=True,
    )
    if guess.bytes > free:
        raise UserError(
            f"'{name}' needs about {size(guess.bytes)} and {place} has {size(free)} free; free some, give "
            "another disk with --cache, or use --store jpeg or a smaller --short-side."
        )
    if most is not None and guess.bytes > most:
        raise UserError(
            f"'{name}' needs about {size(guess.bytes)}, more than the {size(most)} of --cache-gib; raise it, "
            "or use --store jpeg or a smaller --short-side."
        )


@app.command("ls")
def list_cached(cache: options.Cache = None) -> int:
    """What is cached of which data set, and how large it is.

    Example: python -m bench data cache ls
    """
    options.use_cache(cache, None)
    from datasets import cache_listing
    from datasets.cache_folder import cache_home

    for row in cache_listing.held(cache_home()):
        print(f"{row.name}  {row.store}  {row.clips} of {row.known} clips  {size(row.bytes)}")
    print(f"{size(cache_listing.total_bytes(cache_home()))} in {cache_home()}")
    return 0


@app.command()
def rm(
    name: Annotated[str | None, typer.Argument(help="A data set, as in: data cache ls.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all that is cached.")] = False,
    cache: options.Cache = None,
) -> int:
    """Remove what is cached; runs decode it again when they need it, and those that read it now read on.

    Example: python -m bench data cache rm gym99
    """
    options.use_cache(cache, None)
    from datasets import cache_listing
    from datasets.cache_folder import cache_home
    from datasets.errors import UserError

    if everything == (name is not None):
        raise UserError("name one data set to remove from the cache, or give --all.")
    root = cache_home()
    freed = cache_listing.remove_all(root) if name is None else cache_listing.remove(root, name)
    print(f"{size(freed)} freed in {root}")
    return 0


def size(count: int) -> str:
    """Bytes for reading: "3.2 GiB"."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.3g} {units[0]}" if units[0] != "B" else f"{count} B"


def duration(seconds: float) -> str:
    """A time for reading: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
