"""False marks and power of the leaderboard's tests on simulated boards, for docs/statistics.md.

Example: python benchmarks/calibrate.py --boards 1000 --write docs/statistics.md    (as `make calibrate` does)

Every setting is kept in a file as soon as it is done, so a stopped calibration goes on where it was.  The
boards go through `bench.families.compare_all`, which decides every leaderboard: tests, both families, groups.
The simulated nets are logistic: clips differ in difficulty, for all methods and for each, and runs in luck.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.families import compare_all

ALPHA = 0.05
LEVEL = 1.0
"""Mean ability on the logit scale: an accuracy of about two thirds."""
DIFFICULTY, TASTE = 1.5, 0.7
"""Standard deviations over clips: of the difficulty that all methods share, and of each method's own."""
KINSHIP = 0.7
"""Share of a method's own variance, over clips and over seeds, that it has in common with its family."""
DIVERGES, CLASSES = 0.1, 12
"""Probability that a run of shape "diverging" diverges; it then answers one class for all clips."""
MARKS_A, MARKS_B, MARKS_PAIR = 0.07, 0.08, 0.07
"""Largest shares of boards with a false mark that the protocol allows (section 12)."""
BOUNDED = (3.0, 500, 5)
"""sd in points, clips and seeds of the row whose power has lower bounds; it gets ten times the boards."""
LEAST_PAIR, LEAST_A = 0.70, 0.90
"""Of 5 points by two methods and of 10 points by family A, at `BOUNDED`, the sd as scores show it."""
BEGIN, END = "<!-- calibration:begin -->", "<!-- calibration:end -->"

SHAPES = ("equal", "noisy baseline", "noisy rival", "two families")
"""Those of the protocol; "diverging" is measured beside them."""

Board = tuple[NDArray[np.bool_], list[int]]
"""(methods, seeds, clips) correctness, and the methods that diverged on some seed."""


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


def simulate(setting: Setting, rng: np.random.Generator) -> Board:
    """One board."""
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
    of_clip = rng.normal(0, DIFFICULTY, m) + taste + ability[:, None]
    odds = -of_clip.astype(np.float32)[:, None, :] - luck.astype(np.float32)[:, :, None]
    np.exp(odds, out=odds)
    odds += 1  # now 1 / probability of a right answer
    odds *= rng.random((k, n, m), dtype=np.float32)
    correct = odds < 1
    if setting.shape != "diverging":
        return correct, []
    lost = rng.random((k, n)) < DIVERGES
    correct[lost] = np.arange(m) % CLASSES == 0
    return correct, np.flatnonzero(lost.any(1)).tolist()


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
def true_sd(seen: float, clips: int) -> float:
    """The sd of a pair's true difference, in points, at which its scores on so many clips have sd `seen`.

    Every answer is a coin of its own, which adds 2 mean(p (1 - p)) / clips to the variance over seeds.
    """
    p = 1 / (1 + np.exp(-_population()))
    coins = 1e4 * 2 * float((p * (1 - p)).mean()) / clips
    return round(float(np.sqrt(seen**2 - coins)), 2)


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


def null_settings(boards: int) -> Iterator[Setting]:
    """Methods that are equal by construction, in every setting that the protocol names."""
    for seeds in (3, 5, 10):
        for clips in (100, 500):
            for shape in ("equal", "noisy rival"):
                yield Setting(shape, 2, seeds, clips, 3.0, 0.0, boards)
    for seeds in (3, 5, 10):
        for shape in SHAPES:
            yield Setting(shape, 8, seeds, 500, 3.0, 0.0, boards)


def diverging_settings(boards: int) -> Iterator[Setting]:
    """Methods whose runs diverge, all with one probability: their rows are tested without borrowing."""
    for seeds in (3, 5, 10):
        for methods in (2, 8):
            yield Setting("diverging", methods, seeds, 500, 3.0, 0.0, boards)


def further_settings(boards: int) -> Iterator[Setting]:
    """Equal methods on other sizes of the test set than the protocol bounds."""
    for clips in (2000, 100):
        for seeds in (3, 5, 10):
            for shape in ("noisy baseline", "noisy rival", "equal", "two families"):
                yield Setting(shape, 8, seeds, clips, 3.0, 0.0, boards)


def seen_settings(boards: int) -> Iterator[Setting]:
    """A leader where the scores of the seeds, as a reader sees them, differ with the sd of `BOUNDED`."""
    sd, clips, _ = BOUNDED
    for seeds in (5, 10, 3):
        for methods, lead in ((2, 5.0), (2, 10.0), (8, 5.0), (8, 10.0)):
            yield Setting("equal", methods, seeds, clips, true_sd(sd, clips), lead, boards)


def power_settings(boards: int) -> Iterator[Setting]:
    """One method leads by 5 or 10 points: the grid of section 12, for two methods and for eight."""
    for sd in (3.0, 5.0, 2.0, 1.0):  # differences are hardly missed where the sd is small
        for clips in (500, 100, 2000):
            for seeds in (5, 10, 3):
                for methods, lead in ((2, 5.0), (2, 10.0), (8, 5.0), (8, 10.0)):
                    bounded = (sd, clips, seeds) == BOUNDED
                    times = 10 if bounded else 2.5 if sd > 2 else 1
                    yield Setting("equal", methods, seeds, clips, sd, lead, int(times * boards))


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


def too_weak(seen: Mapping[Setting, Outcome]) -> list[str]:
    """Power at the sd that scores show, where it is below what is asked for."""
    said = []
    for setting, result in seen.items():
        if setting.seeds != BOUNDED[2]:
            continue
        least = {(2, 5.0): LEAST_PAIR, (8, 10.0): LEAST_A}.get((setting.methods, setting.lead), 0.0)
        if result.found_a < least:
            said.append(f"{setting.lead:g} points, {_where(setting)}: {result.found_a:.2f}, not {least:.2f}")
    return said


def _where(setting: Setting) -> str:
    return f"{setting.shape}, {setting.methods} methods, {setting.seeds} seeds, {setting.clips} clips"


@dataclass(frozen=True)
class Measured:
    """How much differences to the baseline vary on a real board: `sd` in points, over all its entries."""

    cell: str
    seeds: int
    sd: float
    low: float
    high: float


def measured(results: Path) -> list[Measured]:
    """The boards of a results table: root mean square, least and largest sd of a paired difference."""
    scores: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    baseline = {}
    with results.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["status"] == "done" and row["role"] in ("competitor", "baseline"):
                cell = f"{row['data']}, {row['labels']} labels per class"
                scores[cell][row["entry"]][row["seed"]] = float(row["top1"])
                if row["role"] == "baseline":
                    baseline[cell] = row["entry"]
    found = []
    for cell, name in baseline.items():
        base = scores[cell].pop(name)
        gaps = [
            [mine[s] - base[s] for s in sorted(mine.keys() & base.keys())] for mine in scores[cell].values()
        ]
        sds = [100 * float(np.std(gap, ddof=1)) for gap in gaps if len(gap) > 2]
        if sds:
            square = float(np.sqrt(np.mean(np.square(sds))))
            found.append(Measured(cell, len(base), square, min(sds), max(sds)))
    return found


def tables(
    null: Mapping[Setting, Outcome],
    further: Mapping[Setting, Outcome],
    seen: Mapping[Setting, Outcome],
    power: Mapping[Setting, Outcome],
    boards: Iterable[Measured] = (),
) -> str:
    """All tables as Markdown, with date, numbers of boards and how to repeat them."""
    counts = [f"{min(setting.boards for setting in found):,}" for found in (null, power)]
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `make calibrate`: {counts[0]} boards per row of the "
        f"tables of equal methods, at least {counts[1]} of the last one.  The seed of each setting is the "
        "CRC-32 of its name.",
        "",
        "Methods that are equal by construction: share of boards with any mark at α = .05.",
        "",
        *_null_rows(null),
    ]
    if further:
        lines += [
            "",
            "The same beyond the settings that the protocol bounds: where every run of every method diverges "
            "with a probability of .1, and on other test sets.  (A share *p* of 1,000 boards is "
            "uncertain by 2 √(p (1 − p) / 1000): .07 by .016.)",
            "",
            *_null_rows(further),
        ]
    lines += [
        "",
        "One method truly leads by 5 / 10 points: share of leads that are found.  *sd* is that of a pair's "
        "true difference over seeds, as a test set without end would show it; *seen* is the sd that a reader "
        "computes from the scores of the seeds on the clips that there are.  Both in points.",
        "",
        *_power_rows(power),
        "",
        f"The same where the sd that a reader computes is {BOUNDED[0]:g} points, "
        f"{min((s.boards for s in seen), default=0):,} boards per cell:",
        "",
        *_power_rows(seen),
    ]
    real = [_beside_the_grid(board, power) for board in boards]
    if real:
        lines += ["", "Where the embedded leaderboard stands in this table:", "", *real]
    return "\n".join(lines)


def _null_rows(null: Mapping[Setting, Outcome]) -> list[str]:
    lines = [
        "| methods | noise, kinship | seeds | clips | all pairs (A) | against the baseline (B) |",
        "| ---: | :--- | ---: | ---: | ---: | ---: |",
    ]
    for s, o in null.items():
        b = f"{o.marks_b:.3f}" if s.methods > 2 else "the same"
        lines.append(f"| {s.methods} | {s.shape} | {s.seeds} | {s.clips:,} | {o.marks_a:.3f} | {b} |")
    return lines


def _power_rows(power: Mapping[Setting, Outcome]) -> list[str]:
    by_place = {(s.sd, s.clips, s.seeds, s.methods, s.lead): o for s, o in power.items()}
    rows = [
        "| sd | clips | seen | seeds | two methods | 8 methods, B | 8 methods, A |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for sd, clips, seeds in sorted({(s.sd, s.clips, s.seeds) for s in power}):

        def both(methods: int, name: str, place: tuple[float, int, int] = (sd, clips, seeds)) -> str:
            found = [by_place.get((*place, methods, lead)) for lead in (5.0, 10.0)]
            return " / ".join("–" if o is None else f"{getattr(o, name):.2f}" for o in found)

        seen = next(o.observed_sd for place, o in by_place.items() if place[:3] == (sd, clips, seeds))
        cells = [both(2, "found_a"), both(8, "found_b"), both(8, "found_a")]
        rows.append(f"| {sd:g} | {clips:,} | {seen:.1f} | {seeds} | {' | '.join(cells)} |")
    return rows


def _beside_the_grid(board: Measured, power: Mapping[Setting, Outcome]) -> str:
    """The row of the grid with as many seeds, 500 clips, and the nearest sd as it is seen."""
    near = [(s, o) for s, o in power.items() if (s.clips, s.seeds, s.methods) == (500, board.seeds, 2)]
    said = (
        f"- {board.cell}, {board.seeds} seeds: a difference to the baseline varies over the seeds with an sd "
        f"of {board.sd:.1f} points ({board.low:.1f} to {board.high:.1f}, by entry)"
    )
    if not near:
        return f"{said}; the grid has no row with {board.seeds} seeds."
    s, o = min(near, key=lambda item: abs(item[1].observed_sd - board.sd))
    return f"{said}: nearest to the row sd {s.sd:g}, 500 clips, seen {o.observed_sd:.1f}, {s.seeds} seeds."


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
    parser.add_argument("--boards", type=int, default=1000, help="per setting of equal methods")
    parser.add_argument("--power-boards", type=int, default=100, help="least per setting with a leader")
    parser.add_argument("--kept", type=Path, default=Path("runs/calibration.jsonl"), help="finished settings")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--finished-only", action="store_true", help="simulate nothing, show what is kept")
    parser.add_argument("--results", type=Path, default=Path("reports/results.csv"), help="a real board")
    parser.add_argument("--write", type=Path, help="page whose section between the marks is replaced")
    options = parser.parse_args()
    wanted = (
        null_settings(options.boards),
        seen_settings(options.boards),
        diverging_settings(options.boards),
        power_settings(options.power_boards),
        further_settings(options.boards),
    )
    run = finished if options.finished_only else run_all
    null, seen, diverging, power, further = (run(each, options.kept, options.workers) for each in wanted)
    real = measured(options.results) if options.results.is_file() else []
    text = tables(null, diverging | further, seen, power, real)
    print(text)
    if options.write:
        write_into(options.write, text)
    complaints = [*too_many(null), *too_weak(seen)]
    for complaint in complaints:
        print(f"NOT AS IT SHOULD BE: {complaint}", file=sys.stderr)
    return 3 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
