"""False marks and power of the leaderboard's tests on simulated boards, for docs/statistics.md.

Example: python benchmarks/calibrate.py --boards 1000 --write docs/statistics.md    (as `make calibrate` does)

Every setting is kept in a file as soon as it is done, so a stopped calibration goes on where it was.  The
boards go through `bench.families.compare_all`, which decides every leaderboard: tests, both families, groups.
The simulated nets are logistic: clips differ in difficulty, for all methods and for each, and runs in luck.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from calibration.bounds import too_many, too_weak
from calibration.outcomes import finished, run_all
from calibration.real_boards import measured
from calibration.settings import (
    diverging_settings,
    further_settings,
    null_settings,
    power_settings,
    seen_settings,
)
from calibration.tables import tables, write_into

NULL = 4
"""So many times more boards of equal methods: their shares lie close to the bounds."""


def main() -> int:
    """Simulates, writes, and says whether the bounds hold: 3 where they do not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--boards", type=int, default=1000, help=f"per setting; {NULL} times as many where methods are equal"
    )
    parser.add_argument("--kept", type=Path, default=Path("runs/calibration.jsonl"), help="finished settings")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--finished-only", action="store_true", help="simulate nothing, show what is kept")
    parser.add_argument("--results", type=Path, default=Path("reports/results.csv"), help="a real board")
    parser.add_argument("--write", type=Path, help="page whose section between the marks is replaced")
    options = parser.parse_args()
    boards = options.boards
    wanted = (
        (*null_settings(NULL * boards), *further_settings(NULL * boards)),
        tuple(seen_settings(boards)),
        tuple(diverging_settings(boards)),
        tuple(power_settings(boards)),
    )
    run = finished if options.finished_only else run_all
    null, seen, diverging, power = (run(each, options.kept, options.workers) for each in wanted)
    lacking = sum(map(len, wanted)) - sum(map(len, (null, seen, diverging, power)))
    real = measured(options.results) if options.results.is_file() else []
    text = tables(null, diverging, seen, power, real)
    if lacking:
        text += (
            f"\n\n{lacking} settings are not simulated yet (`–`, or no row): `make calibrate` goes on there."
        )
    print(text)
    if options.write:
        write_into(options.write, text)
    complaints = [*too_many(null), *too_weak(seen)]
    for complaint in complaints:
        print(f"NOT AS IT SHOULD BE: {complaint}", file=sys.stderr)
    return 3 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
