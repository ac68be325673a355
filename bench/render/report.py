"""From a run folder to the files of a report."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bench.board import Board, all_boards
from bench.records import Run, load_run
from bench.render import stamp
from bench.render.answers import answers_parquet
from bench.render.details import Details, details
from bench.render.html import html
from bench.render.latex import tables_tex
from bench.render.markdown import FOLDER, Pictures, page
from bench.render.results_csv import results_csv
from bench.render.stamp import EXTRA, FILES
from bench.render.stats_json import stats_json
from bench.results import load_results
from bench.store import RunFolder, disk_errors, make_folder
from bench.suite import LoadedSuite
from datasets.errors import UserError, unknown_name


@contextmanager
def _uncollected() -> Iterator[None]:
    """Cyclic garbage waits: looking through the lasting objects of a large report takes a seventh of it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_uncollected()
def write_report(
    loaded: LoadedSuite,
    run: RunFolder,
    to: Path,
    formats: Sequence[str] = tuple(FILES),
    results: Path | None = None,
) -> Path:
    """Renders what is finished of a suite.  The same run folder gives the same bytes.

    Args:
        loaded: the suite.
        run: its run folder.
        to: where the files go; made where it does not exist, other files in it are left alone.
        formats: any of `FILES` and `EXTRA`.
        results: a results table that names the trials, instead of the plan of the run folder.

    Returns:
        The path of the leaderboard, or of the first file written where "md" is not asked for.

    Raises:
        UserError: when no trial is finished, for an unknown format, and for damaged or contradicting
            records.
    """
    known = {**FILES, **EXTRA}
    for name in formats:
        if name not in known:
            raise unknown_name("format", name, known, "--format")
    if not formats:
        raise UserError(f"--format: name at least one of {', '.join(known)}.")
    made_of = stamp.digest(loaded, run)  # before reading: what is finished meanwhile makes the page outdated
    found = load_run(run, loaded.suite.name) if results is None else load_results(results, run)
    if not any(record.status == "done" for record in found.records):
        raise UserError(
            f"{run.path}: no trial is finished yet, so there is nothing to report; run the suite to the end "
            f"of at least one trial: python -m bench run --suite {loaded.suite.name}"
        )
    made = _Report(loaded, found)
    if "md" in formats:
        for name, content in made.figures.items():
            _write(to / name, content)
        _sweep(to, made.figures, loaded.suite.sections)
    written = []
    for name in sorted(set(formats), key=list(known).index):
        path = to / known[name]
        _write(path, made.content(name))
        written.append(path)
    stamp.note(to, (path.name for path in written), made_of)
    return written[0]


def _sweep(to: Path, made: Collection[str], sections: Collection[str]) -> None:
    """Deletes figures of these sections that an earlier report had and this one has not."""
    ours = tuple(f"{section}-" for section in sections)
    for path in (to / FOLDER).glob("*"):
        ended = path.suffix in (".png", ".svg") and path.relative_to(to).as_posix() not in made
        if ended and path.name.startswith(ours):
            path.unlink()


class _Report:
    """The texts of a report; what several of them need is made once, what none needs never."""

    def __init__(self, loaded: LoadedSuite, run: Run) -> None:
        self._loaded, self._run = loaded, run
        boards = all_boards(run.records, loaded.suite)
        self._boards = tuple(
            replace(board, findings=run.audit.get(board.data, ()), accepted=board.data in run.accepted)
            for board in boards
        )

    def content(self, name: str) -> bytes:
        """The content of the file of a format."""
        if name == "answers":
            return answers_parquet(self._run.records)
        makers: dict[str, Callable[[], str]] = {
            "md": lambda: page(self._loaded, self._run, self._boards, self._drawn[0]),
            "html": lambda: html(
                self._loaded, self._run, self._boards, self._details, self._drawn[0], self.figures
            ),
            "latex": lambda: tables_tex(self._loaded, self._boards),
            "csv": lambda: results_csv(self._run.records),
            "json": lambda: stats_json(self._loaded.suite, self._boards),
        }
        return makers[name]().encode()

    @property
    def figures(self) -> dict[str, bytes]:
        """The files of the figures, by path."""
        return self._drawn[1]

    @cached_property
    def _details(self) -> list[dict[str, Details]]:
        return [details(board) for board in self._boards]

    @cached_property
    def _drawn(self) -> tuple[Pictures, dict[str, bytes]]:
        from bench.render.pictures import draw  # noqa: PLC0415  # Matplotlib takes a second; only pages need it

        files: dict[str, bytes] = {}
        pictures = draw(self._loaded.suite, self._boards, self._details, self._classes, files.__setitem__)
        return pictures, files

    def _classes(self, board: Board) -> tuple[str, ...]:
        number = max((record.classes for row in board.rows for record in row.records), default=0)
        return self._run.class_names(board.data, number)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    make_folder(path.parent, "--to")
    with disk_errors(path, "--to"):
        temporary.write_bytes(content)
        temporary.replace(path)
