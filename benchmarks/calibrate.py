"""False marks and power of the leaderboard's tests on simulated boards, for docs/statistics.md.

Example: python benchmarks/calibrate.py --boards 2000 --write docs/statistics.md    (as `make calibrate` does)

Every setting is kept in a file as soon as it is done, so a stopped calibration goes on where it was.  The
boards go through `bench.families.pair_tests` and Holm over both families, as every leaderboard does; the
simulated nets are logistic: clips differ in difficulty, for all methods and for each, and runs in luck.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.families import pair_tests
from bench.stats import holm_by_key

ALPHA = 0.05
LEVEL = 1.0
"""Mean ability on the logit scale: an accuracy of about two thirds."""
DIFFICULTY, TASTE = 1.5, 0.7
"""Standard deviations over clips: of the difficulty that all methods share, and of each method's own."""
KINSHIP = 0.7
"""Share of a method's own variance, over clips and over seeds, that it has in common with its family."""
MARKS_A, MARKS_B, MARKS_PAIR = 0.07, 0.08, 0.07
"""Largest shares of boards with a false mark that the protocol allows (section 12)."""
BEGIN, END = "<!-- calibration:begin -->", "<!-- calibration:end -->"

SHAPES = ("equal", "noisy baseline", "noisy rival", "two families")


@dataclass(frozen=True)
class Setting:
    """One kind of simulated board.

    Attributes:
        shape: one of `SHAPES`: who is as noisy as whom, and who resembles whom.
        methods: number of methods; the first is the baseline, the last the one that may lead.
        seeds: per method.
        clips: of the test set.
        sd: standard deviation over seeds of a pair's true difference, in points.
        lead: by how many points the last method is truly better; 0 for "equal by construction".
        boards: how many are simulated.
    """

    shape: str
    methods: int
    seeds: int
    clips: int
    sd: float
    lead: float
    boards: int

    @property
    def key(self) -> str:
        """Names it in the file of results."""
        return json.dumps(asdict(self), sort_keys=True)


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


def simulate(setting: Setting, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(methods, seeds, clips) correctness of one board."""
    k, n, m = setting.methods, setting.seeds, setting.clips
    ability = np.full(k, LEVEL)
    ability[-1] += shift(setting.lead)
    noise = np.full(k, setting.sd / 100 / np.sqrt(2) / slope())
    noise[0] *= 3 if setting.shape == "noisy baseline" else 1
    noise[-1] *= 3 if setting.shape == "noisy rival" else 1
    family = np.arange(k) * 2 // k if setting.shape == "two families" else np.arange(k)
    shared = KINSHIP if setting.shape == "two families" else 0.0
    taste = TASTE * _kin(rng, family, shared, (m,))
    luck = noise[:, None] * _kin(rng, family, shared, (n,))
    latent = rng.normal(0, DIFFICULTY, m) + taste[:, None, :] + luck[:, :, None] + ability[:, None, None]
    return np.asarray(rng.random((k, n, m)) < 1 / (1 + np.exp(-latent)), dtype=np.bool_)


def _kin(
    rng: np.random.Generator, family: NDArray[np.int64], shared: float, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """(methods, *shape) standard normal, members of one family correlated by `shared`."""
    own = rng.normal(size=(len(family), *shape))
    common = rng.normal(size=(len(family), *shape))[family]
    return np.asarray(np.sqrt(shared) * common + np.sqrt(1 - shared) * own, dtype=np.float64)


@cache
def _population() -> NDArray[np.float64]:
    """Latent abilities over very many clips, on a grid of quantiles: no draw, so no error of a draw."""
    total = float(np.hypot(DIFFICULTY, TASTE))
    grid = (np.arange(20_000) + 0.5) / 20_000
    from scipy.special import ndtri  # noqa: PLC0415

    return np.asarray(LEVEL + total * ndtri(grid), dtype=np.float64)


def accuracy(ability: float) -> float:
    """Expected accuracy of a method whose ability exceeds `LEVEL` by this much."""
    return float((1 / (1 + np.exp(-_population() - ability))).mean())


@cache
def slope() -> float:
    """How much accuracy a unit of ability is worth."""
    return (accuracy(1e-4) - accuracy(-1e-4)) / 2e-4


@cache
def shift(points: float) -> float:
    """The ability that is worth so many points of accuracy, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if accuracy(middle) - accuracy(0.0) < points / 100 else (low, middle)
    return high if points else 0.0


def outcome(setting: Setting) -> Outcome:
    """Simulates all boards of a setting; the same setting gives the same numbers."""
    rng = np.random.default_rng(zlib.crc32(setting.key.encode()))
    leader = setting.methods - 1
    marks_a, marks_b, found_a, found_b, variances = [], [], [], [], []
    for _ in range(setting.boards):
        correct = simulate(setting, rng)
        tests = pair_tests(correct[None])
        raw = {pair: test.p for pair, test in tests.items()}
        a = _marked(raw)
        b = _marked({pair: p for pair, p in raw.items() if 0 in pair})
        marks_a.append(bool(a))
        marks_b.append(bool(b))
        found_a.append(sum(leader in pair for pair in a) / leader)
        found_b.append((0, leader) in b)
        variances.append((correct[leader].mean(1) - correct[0].mean(1)).var(ddof=1))
    return Outcome(
        marks_a=float(np.mean(marks_a)),
        marks_b=float(np.mean(marks_b)),
        found_a=float(np.mean(found_a)),
        found_b=float(np.mean(found_b)),
        observed_sd=100 * float(np.sqrt(np.mean(variances))),
    )


def _marked(raw: dict[tuple[int, int], float | None]) -> set[tuple[int, int]]:
    """The significant pairs of a family after Holm."""
    return {pair for pair, p in holm_by_key(raw).items() if p is not None and p <= ALPHA}


def null_settings(boards: int) -> Iterator[Setting]:
    """Methods that are equal by construction, in every setting that the protocol names."""
    for seeds in (3, 5, 10):
        for clips in (100, 500):
            for shape in ("equal", "noisy rival"):
                yield Setting(shape, 2, seeds, clips, 3.0, 0.0, boards)
        for shape in SHAPES:
            yield Setting(shape, 8, seeds, 500, 3.0, 0.0, boards)


def power_settings(boards: int) -> Iterator[Setting]:
    """One method leads by 5 or 10 points: the grid of section 12, for two methods and for eight."""
    for sd in (1.0, 2.0, 3.0, 5.0):
        for clips in (100, 500, 2000):
            for seeds in (3, 5, 10):
                for lead in (5.0, 10.0):
                    for methods in (2, 8):
                        yield Setting("equal", methods, seeds, clips, sd, lead, boards)


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
    with ProcessPoolExecutor(workers) as pool, kept.open("a", encoding="utf-8") as file:
        started = {pool.submit(outcome, setting): setting for setting in todo}
        for finished in as_completed(started):
            setting = started[finished]
            found[setting] = finished.result()
            line = {"setting": asdict(setting), "outcome": asdict(found[setting])}
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(f"[{len(found)}/{len(wanted)}] {setting.key}: {found[setting]}", flush=True)
    return {setting: found[setting] for setting in wanted}


def _read(kept: Path) -> Iterator[tuple[Setting, Outcome]]:
    if not kept.is_file():
        return
    for line in kept.read_text(encoding="utf-8").splitlines():
        try:
            item = json.loads(line)
            yield Setting(**item["setting"]), Outcome(**item["outcome"])
        except (ValueError, KeyError, TypeError):  # the last line of a killed run
            continue


def too_many(found: dict[Setting, Outcome]) -> list[str]:
    """Settings whose false marks exceed what the protocol allows."""
    said = []
    for setting, result in found.items():
        pairs = [("family A", result.marks_a, MARKS_A), ("family B", result.marks_b, MARKS_B)]
        if setting.methods == 2:
            pairs = [("two methods", result.marks_a, MARKS_PAIR)]
        said += [
            f"{name}, {_where(setting)}: {share:.3f} of {setting.boards} boards, more than {most}"
            for name, share, most in pairs
            if share > most
        ]
    return said


def too_weak(found: dict[Setting, Outcome]) -> list[str]:
    """What the issue demands of the power, where it is not reached."""
    said = []
    for setting, result in found.items():
        if (setting.seeds, setting.clips, setting.sd) != (5, 500, 3.0):
            continue
        if setting.methods == 2 and setting.lead == 5.0 and result.found_a < 0.7:
            said.append(f"two methods, 5 points, {_where(setting)}: found in {result.found_a:.2f}, not .70")
        if setting.methods == 8 and setting.lead == 10.0 and result.found_a < 0.9:
            said.append(f"family A, 10 points, {_where(setting)}: found in {result.found_a:.2f}, not .90")
    return said


def _where(setting: Setting) -> str:
    return f"{setting.shape}, {setting.methods} methods, {setting.seeds} seeds, {setting.clips} clips"


def tables(null: dict[Setting, Outcome], power: dict[Setting, Outcome]) -> str:
    """Both tables as Markdown, with date, numbers of boards and how to repeat them."""
    boards = sorted({setting.boards for setting in null}), sorted({setting.boards for setting in power})
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `make calibrate`: {boards[0][0]:,} boards per row of "
        f"the first table, {boards[1][0]:,} of the second; each setting has a seed of its own (CRC-32 of its "
        "name).",
        "",
        "Methods that are equal by construction: share of boards with any mark at α = .05.",
        "",
        "| methods | noise, kinship | seeds | clips | all pairs (A) | against the baseline (B) |",
        "| ---: | :--- | ---: | ---: | ---: | ---: |",
    ]
    for s, o in null.items():
        b = f"{o.marks_b:.3f}" if s.methods > 2 else "the same"
        lines.append(f"| {s.methods} | {s.shape} | {s.seeds} | {s.clips} | {o.marks_a:.3f} | {b} |")
    lines += [
        "",
        "One method truly leads by 5 / 10 points: share of leads that are found.  *sd* is that of a pair's "
        "true difference over seeds, *seen* what a reader computes from the scores of the seeds, in points.",
        "",
        "| sd | clips | seen | seeds | two methods | 8 methods, B | 8 methods, A |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return "\n".join([*lines, *_power_rows(power)])


def _power_rows(power: dict[Setting, Outcome]) -> list[str]:
    by_place = {(s.sd, s.clips, s.seeds, s.methods, s.lead): o for s, o in power.items()}
    rows = []
    for sd, clips, seeds in dict.fromkeys((s.sd, s.clips, s.seeds) for s in power):

        def both(methods: int, name: str, place: tuple[float, int, int] = (sd, clips, seeds)) -> str:
            return " / ".join(f"{getattr(by_place[*place, methods, lead], name):.2f}" for lead in (5.0, 10.0))

        seen = by_place[sd, clips, seeds, 2, 5.0].observed_sd
        cells = [both(2, "found_a"), both(8, "found_b"), both(8, "found_a")]
        rows.append(f"| {sd:g} | {clips:,} | {seen:.1f} | {seeds} | {' | '.join(cells)} |")
    return rows


def write_into(page: Path, text: str) -> None:
    """Puts the tables between the two marks of a page."""
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: lacks the lines '{BEGIN}' and '{END}'.")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Simulates, writes, and says whether the bounds hold: 3 where they do not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--boards", type=int, default=2000, help="per setting of equal methods")
    parser.add_argument("--power-boards", type=int, default=500, help="per setting with a leader")
    parser.add_argument("--kept", type=Path, default=Path("runs/calibration.jsonl"), help="finished settings")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="page whose section between the marks is replaced")
    options = parser.parse_args()
    null = run_all(null_settings(options.boards), options.kept, options.workers)
    power = run_all(power_settings(options.power_boards), options.kept, options.workers)
    text = tables(null, power)
    print(text)
    if options.write:
        write_into(options.write, text)
    complaints = [*too_many(null), *too_weak(power)]
    for complaint in complaints:
        print(f"NOT AS IT SHOULD BE: {complaint}", file=sys.stderr)
    return 3 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
