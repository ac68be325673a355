"""Outcomes of settings, each kept in a file as soon as it is there."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.families import compare_all
from calibration.boards import Setting, simulate

ALPHA = 0.05


@dataclass(frozen=True)
class Outcome:
    """Over all boards of a setting.

    Attributes:
        marks_a: share with any mark in family A (all pairs); a false one where nobody leads.
        marks_b: the same in family B (against the baseline).
        found_a: share of the leader's pairs that family A marks.
        found_b: share of boards on which family B marks the leader.
        observed_sd: root mean square over boards of the standard deviation of a pair's observed difference
            over its seeds, in points; above the true one by what the clips add.
    """

    marks_a: float
    marks_b: float
    found_a: float
    found_b: float
    observed_sd: float


def outcome(setting: Setting) -> Outcome:
    """Simulates all boards of a setting; the same setting gives the same numbers."""
    rng = np.random.default_rng(zlib.crc32(setting.key.encode()))
    leader = setting.methods - 1
    marks_a, marks_b, found_a, found_b, variances = [], [], [], [], []
    for _ in range(setting.boards):
        correct, unstable = simulate(setting, rng)
        families = compare_all(correct, 0, unstable=unstable, alpha=ALPHA)
        a = [pair for pair, c in families.pairs.items() if c.significant(ALPHA)]
        b = [method for method, c in families.against_baseline.items() if c.significant(ALPHA)]
        marks_a.append(families.groups.distinguishable)
        marks_b.append(bool(b))
        found_a.append(sum(leader in pair for pair in a) / leader)
        found_b.append(leader in b)
        scores = correct[[0, leader]].mean(2)
        variances.append((scores[1] - scores[0]).var(ddof=1))
    return Outcome(
        marks_a=float(np.mean(marks_a)),
        marks_b=float(np.mean(marks_b)),
        found_a=float(np.mean(found_a)),
        found_b=float(np.mean(found_b)),
        observed_sd=100 * float(np.sqrt(np.mean(variances))),
    )


def run_all(settings: Iterable[Setting], kept: Path, workers: int) -> dict[Setting, Outcome]:
    """Simulates what the file does not have yet, and adds it there line by line."""
    wanted = list(settings)
    earlier = dict(_read(kept))
    found = {setting: earlier[setting] for setting in wanted if setting in earlier}
    todo = [setting for setting in wanted if setting not in found]
    print(f"{len(found)} of {len(wanted)} settings are done in {kept}", flush=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    if kept.is_file() and not kept.read_bytes().endswith(b"\n"):  # killed while writing: close that line
        kept.write_text(kept.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with kept.open("a", encoding="utf-8") as file:
        for setting, result in _outcomes(todo, workers):
            found[setting] = result
            line = {"setting": asdict(setting), "outcome": asdict(found[setting])}
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(f"[{len(found)}/{len(wanted)}] {setting.key}: {found[setting]}", flush=True)
    return {setting: found[setting] for setting in wanted}


def finished(settings: Iterable[Setting], kept: Path, workers: int = 0) -> dict[Setting, Outcome]:
    """Those settings that the file has, as `run_all` returns them."""
    known = dict(_read(kept))
    return {setting: known[setting] for setting in settings if setting in known}


def _outcomes(todo: list[Setting], workers: int) -> Iterator[tuple[Setting, Outcome]]:
    if workers == 1:
        yield from ((setting, outcome(setting)) for setting in todo)
        return
    with ProcessPoolExecutor(workers) as pool:
        started = {pool.submit(outcome, setting): setting for setting in todo}
        for finished in as_completed(started):
            yield started[finished], finished.result()


def _read(kept: Path) -> Iterator[tuple[Setting, Outcome]]:
    if not kept.is_file():
        return
    for line in kept.read_text(encoding="utf-8").splitlines():
        try:
            item = json.loads(line)
            yield Setting(**item["setting"]), Outcome(**item["outcome"])
        except (ValueError, KeyError, TypeError):  # the last line of a killed run
            continue
