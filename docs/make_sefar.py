"""Fills the table of docs/sefar.md with the measured effect of each departure of SeFAR's release.

Example: python -m bench run --suite paper/departures --to reports/departures
         python docs/make_sefar.py reports/departures/results.csv
         python docs/make_sefar.py --check            (says whether the page's list of toggles is in step)

Without a results table the effects read "not measured yet".  No number is typed by hand.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.stats import paired_t
from sefar.official import SeFAROfficial

PAGE = Path(__file__).parent / "sefar.md"
BEGIN, END = "<!-- departures:begin -->", "<!-- departures:end -->"
BASE, ALL = "intended", "official"
SEEDS = 2
"""Fewer finished pairs than this make no interval."""
UNMEASURED = "not measured yet"


@dataclass(frozen=True)
class Departure:
    """A departure: its number in the list of the release's departures, its toggle, its row in the suite."""

    number: str
    what: str
    toggle: str
    paper: str
    entry: str


DEPARTURES = (
    Departure(
        "4.1",
        "the perturbation flips the color axis (RGB becomes BGR) of the fine levels, not their time",
        "reversal",
        "time",
        "reversal",
    ),
    Departure(
        "4.2",
        "every level draws its own mixing partners, targets and weights follow those of the last level",
        "partners",
        "shared",
        "partners",
    ),
    Departure(
        "4.6",
        "dropout2d on a five-axis tensor removes a color channel from all frames of a clip",
        "channels",
        "frame",
        "channels",
    ),
    Departure(
        "4.7",
        "the mixing partner has no channel dropout, its anchor has",
        "partner_dropout",
        "true",
        "partner-dropout",
    ),
    Departure(
        "4.8",
        "the squared error compares raw logits with probabilities",
        "mix_prediction",
        "probabilities",
        "mix-prediction",
    ),
    Departure(
        "4.13",
        "the teacher moves after every micro-batch, the student after eight",
        "ema_moves",
        "1",
        "ema-moves",
    ),
)

Scores = Mapping[str, Mapping[int, float]]
"""Entry -> seed -> top-1 accuracy as a fraction."""


def read_scores(path: Path) -> Scores:
    """The finished trials of a results table.

    Raises:
        SystemExit: when the table has no row of the base.
    """
    scores: dict[str, dict[int, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["status"] == "done":
                scores.setdefault(row["entry"], {})[int(row["seed"])] = float(row["top1"])
    if BASE not in scores:
        raise SystemExit(f"{path}: has no finished trial of the entry '{BASE}'; run the suite first.")
    return scores


def effect(scores: Scores, entry: str, base: str = BASE) -> str:
    """Top-1 of `entry` minus that of the base in points, with a 95 % interval over paired seeds."""
    ours, theirs = scores.get(entry, {}), scores.get(base, {})
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < SEEDS:
        return UNMEASURED
    found = paired_t([100 * (ours[seed] - theirs[seed]) for seed in seeds])
    if found.low is None or found.high is None:
        return f"{found.estimate:+.1f}, no interval ({found.reason}), {len(seeds)} seeds"
    return f"{found.estimate:+.1f} [{found.low:+.1f}, {found.high:+.1f}], {len(seeds)} seeds"


def level(scores: Scores, entry: str) -> str:
    """Mean top-1 of an entry in percent."""
    values = list(scores.get(entry, {}).values())
    return f"{100 * sum(values) / len(values):.1f} ({len(values)} seeds)" if values else UNMEASURED


def table(scores: Scores) -> str:
    """The block of the page."""
    released = {f.name: f.default for f in dataclasses.fields(SeFAROfficial.Config)}
    lines = [
        "| item | the release | toggle of `sefar_official` | as released | as in the paper | "
        "effect on top-1, points |",
        "|---|---|---|---|---|---|",
    ]
    for each in DEPARTURES:
        default = str(released[each.toggle]).lower()
        lines.append(
            f"| {each.number} | {each.what} | `{each.toggle}` | `{default}` | `{each.paper}` | "
            f"{effect(scores, each.entry)} |"
        )
    lines.append(f"| all | all of them together | | | | {effect(scores, ALL)} |")
    told = (
        f"Base (all toggles as in the paper): {level(scores, BASE)}; supervised-only through the same net: "
        f"{level(scores, 'supervised-sefar-net')}."
    )
    return "\n".join([*lines, "", told])


def filled(page: str, block: str) -> str:
    """The page with another block.

    Raises:
        SystemExit: when the page has lost its marks.
    """
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"{PAGE.name}: the marks {BEGIN} and {END} are gone; put them back.")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def without_effects(page: str) -> list[str]:
    """The rows of the table without their last cell, which needs a measurement."""
    block = page.partition(BEGIN)[2].partition(END)[0]
    return [line.rstrip(" |").rpartition("|")[0] for line in block.splitlines() if line.startswith("| ")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page, or compares it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="?", help="results.csv of the suite paper/departures")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    if given.check:
        same = without_effects(page) == without_effects(filled(page, table({})))
        print(f"{PAGE.name} is in step" if same else f"{PAGE.name} is out of step: run docs/make_sefar.py")
        return 0 if same else 1
    scores = read_scores(given.results) if given.results is not None else {}
    PAGE.write_text(filled(page, table(scores)), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
