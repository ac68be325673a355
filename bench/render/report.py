"""From a run folder to the files of a report."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from bench.board import Board, build_boards
from bench.records import Run, load_run
from bench.render import stamp
from bench.render.markdown import page
from bench.render.results_csv import results_csv
from bench.render.stamp import FILES
from bench.render.stats_json import stats_json
from bench.store import RunFolder, disk_errors
from bench.suite import LoadedSuite
from datasets.errors import UserError, unknown_name


def write_report(
    loaded: LoadedSuite, run: RunFolder, to: Path, formats: Sequence[str] = ("md", "csv", "json")
) -> Path:
    """Renders what is finished of a suite.  The same run folder gives the same bytes.

    Args:
        loaded: the suite.
        run: its run folder.
        to: where the files go; made where it does not exist, other files in it are left alone.
        formats: any of `FILES`.

    Returns:
        The path of the leaderboard, or of the first file written where "md" is not asked for.

    Raises:
        UserError: when no trial is finished, for an unknown format, and for damaged or contradicting
            records.
    """
    for name in formats:
        if name not in FILES:
            raise unknown_name("format", name, FILES, "--format")
    if not formats:
        raise UserError(f"--format: name at least one of {', '.join(FILES)}.")
    made_of = stamp.digest(loaded, run)  # before reading: what is finished meanwhile makes the page outdated
    found = load_run(run)
    if not any(record.status == "done" for record in found.records):
        raise UserError(
            f"{run.path}: no trial is finished yet, so there is nothing to report; run the suite to the end "
            f"of at least one trial: python -m bench run --suite {loaded.suite.name}"
        )
    boards = build_boards(found.records, loaded.suite)
    written = []
    for name in sorted(set(formats), key=list(FILES).index):
        path = to / FILES[name]
        _write(path, _text(name, loaded, found, boards, to).encode())
        written.append(path)
    stamp.note(to, (path.name for path in written), made_of)
    return written[0]


def _text(name: str, loaded: LoadedSuite, run: Run, boards: Sequence[Board], to: Path) -> str:
    if name == "csv":
        return results_csv(run.records)
    if name == "json":
        return stats_json(loaded.suite, boards)
    from bench.render.pictures import draw  # noqa: PLC0415  # Matplotlib takes a second; only pages need it

    pictures = draw(loaded.suite, boards, lambda path, content: _write(to / path, content))
    return page(loaded, run, boards, pictures)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
