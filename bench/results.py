"""A results table as the list of what to render: `results.csv` beside the trials it was made from.

`bench report --results FILE` needs neither a plan nor a data set: the table names the trials, their folders
hold the specifications and the predictions.  Whatever contradicts the folders is refused by row.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from bench.metrics import MEANING
from bench.plan import PlannedTrial
from bench.records import Record, Run, Status, read_plan, read_records, run_of
from bench.render.results_csv import COLUMNS, COST_ENDINGS
from bench.spec import TrialSpec
from bench.store import PLAN, SPEC, RunFolder
from bench.suite import Role
from datasets.errors import UserError, reason, unknown_name

KEYS = ("section", "entry", "role", "data", "labels", "seed", "trial", "status")
PRINTED = 1e-6
"""The last printed digit of a metric."""

STATUSES = (*get_args(Status), "limited")


@dataclass(frozen=True)
class ResultRow:
    """One row: where it stands, which trial it is, and what it says of it.

    `line`: of the file, from 1.  `metrics`: those that the row states.
    """

    line: int
    place: tuple[str, str, str, int]
    role: str
    trial: str
    status: str
    metrics: Mapping[str, float]
    code_hash: str
    split_hash: str


def read_results(path: Path) -> tuple[ResultRow, ...]:
    """Reads and checks a results table.

    Raises:
        UserError: naming file and line, for a missing or unknown column, a value that cannot be, or two rows
            for one (section, data set, label budget, entry, seed).
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = (
            "there is no such file"
            if isinstance(error, FileNotFoundError)
            else f"cannot be read ({reason(error)})"
        )
        raise UserError(f"{path}: {why}; name a results.csv with --results.") from None
    _check_header(header, path)
    seen: dict[tuple[str, str, str, int], int] = {}
    found = []
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(
                f"{path}:{line}: has another number of columns than the header; render the table again."
            )
        made = _row(row, f"{path}:{line}", line)
        if made.place in seen:
            section, cell, entry, seed = made.place
            raise UserError(
                f"{path}:{line}: a second row for {cell} {entry} seed={seed} (section {section}), the first "
                f"is line {seen[made.place]}; delete one of them."
            )
        seen[made.place] = line
        found.append(made)
    return tuple(found)


def _check_header(header: list[str], path: Path) -> None:
    missing = [name for name in (*KEYS, "top1") if name not in header]
    if missing:
        raise UserError(f"{path}:1: lacks the column '{missing[0]}'; render the table again.")
    for name in header:
        if name not in COLUMNS and not name.endswith(COST_ENDINGS):
            raise unknown_name("metric or column", name, COLUMNS, f"{path}:1")


def _row(row: Mapping[str, str], place: str, line: int) -> ResultRow:
    if not row["seed"].isdigit():
        raise UserError(f"{place}: column 'seed' must be a whole number, not '{row['seed']}'.")
    for name, allowed in (("status", STATUSES), ("role", get_args(Role))):
        if row[name] not in allowed:
            raise unknown_name(name, row[name], allowed, place)
    stated = {name: row[name] for name in MEANING if row.get(name)}
    return ResultRow(
        line=line,
        place=(row["section"], f"{row['data']}@{row['labels']}", row["entry"], int(row["seed"])),
        role=row["role"],
        trial=row["trial"],
        status=row["status"],
        metrics={name: _metric(name, text, place) for name, text in stated.items()},
        code_hash=row.get("code_hash", ""),
        split_hash=row.get("split_hash", ""),
    )


def _metric(name: str, text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value > 1 and name != "nll"):
        raise UserError(f"{place}: column '{name}' cannot be '{text}'; render the table again.")
    return value


def load_results(path: Path, run: RunFolder) -> Run:
    """The records of the trials that a results table names, from their folders.

    Names of classes, and what the run said of itself, come from its plan where it still has one.

    Raises:
        UserError: as `read_results` and `load_run`; for a trial without a specification in this run folder;
            or where a row says another result, code or split than the folder.
    """
    rows = read_results(path)
    planned = [_planned(row, path, run) for row in rows]
    records = read_records(planned, run)
    for row, record in zip(rows, records, strict=True):
        _check_against(row, record, path)
    notes = run.path / PLAN
    return run_of(records, read_plan(notes) if notes.is_file() else {}, str(notes))


def _planned(row: ResultRow, path: Path, run: RunFolder) -> PlannedTrial:
    section, cell, entry, seed = row.place
    file = run.trial(row.trial).path / SPEC
    try:
        spec = TrialSpec.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        raise UserError(
            f"{path}:{row.line}: trial '{row.trial}' has no readable specification in {run.path}; name the "
            "folder of the runs that the table was made from with --out."
        ) from None
    if spec.id != row.trial:
        raise UserError(
            f"{path}:{row.line}: {file} is of trial {spec.id}, not {row.trial}; results of different trials "
            "are never mixed."
        )
    made = {"section": section, "entry": entry, "role": row.role, "cell": cell, "seed": seed}
    return PlannedTrial.model_validate({**made, "spec": spec})


def _check_against(row: ResultRow, record: Record, path: Path) -> None:
    """The row and the folder must speak of one result."""
    status = "limited" if record.spec.limited and record.status == "done" else record.status
    pairs = (
        ("status", row.status, status),
        ("split_hash", row.split_hash, record.spec.split_hash),
        ("code_hash", row.code_hash, str(record.done.get("code_hash", ""))),
    )
    for name, says, found in pairs:
        if says and says != found:
            raise _mixed(row, path, name, says, found or "none")
    for name, value in row.metrics.items():
        if name in record.metrics and abs(record.metrics[name] - value) > PRINTED:
            raise _mixed(row, path, name, f"{value:.6f}", f"{record.metrics[name]:.6f}")


def _mixed(row: ResultRow, path: Path, name: str, says: str, found: str) -> UserError:
    return UserError(
        f"{path}:{row.line}: says {name} {says}, but the folder of trial {row.trial} says {found}; the table "
        "is of another run or of other code. Render it again, or name its own runs with --out."
    )
