"""The tables of docs/statistics.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from calibration.boards import Setting
from calibration.outcomes import Outcome
from calibration.real_boards import Measured
from calibration.settings import BOUNDED

Outcomes = Mapping[Setting, Outcome]

BEGIN, END = "<!-- calibration:begin -->", "<!-- calibration:end -->"


def tables(
    null: Outcomes, diverging: Outcomes, seen: Outcomes, power: Outcomes, real: Iterable[Measured] = ()
) -> str:
    """All tables as Markdown, with date, numbers of boards and how to repeat them."""
    rows = max((setting.boards for setting in null), default=0)
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `make calibrate`.  The seed of each setting is the "
        "CRC-32 of its name.",
        "",
        "Methods that are equal by construction: share of boards with any mark at α = .05, "
        f"{_boards(null)}.  (A share *p* of {rows:,} boards is uncertain by 2 √(p (1 − p) / {rows:,}): .07 "
        f"by {_point(2 * (0.07 * 0.93 / max(rows, 1)) ** 0.5, 3)}.)",
        "",
        *_null_rows(null),
    ]
    if diverging:
        lines += [
            "",
            "The same where every run of every method diverges with a probability of .1, which the protocol "
            f"does not bound, {_boards(diverging)}:",
            "",
            *_null_rows(diverging),
        ]
    lines += [
        "",
        f"One method truly leads by 5 / 10 points: share of leads that are found, {_boards(power)}.  *sd* is "
        "that of a pair's true difference over seeds, as a test set without end would show it; *seen* is "
        "the sd that a reader computes from the scores of the seeds on the clips that there are.  Both in "
        "points.",
        "",
        *_power_rows(power),
        "",
        f"The same where the sd that a reader computes is {BOUNDED[0]:g} points, {_boards(seen)}:",
        "",
        *_power_rows(seen),
    ]
    found = [_beside_the_grid(board, power) for board in real]
    if found:
        lines += [
            "",
            "Where the embedded leaderboard stands in the grid, by the sd as it is seen:",
            "",
            *found,
        ]
    return "\n".join(lines)


def _boards(found: Outcomes) -> str:
    numbers = sorted({setting.boards for setting in found})
    return f"{' to '.join(f'{n:,}' for n in numbers[:: max(len(numbers) - 1, 1)])} boards per row"


def _point(share: float, digits: int) -> str:
    """As the boards print shares: without the zero before the point."""
    return f"{share:.{digits}f}".removeprefix("0") if share < 1 else f"{share:.{digits}f}"


def _null_rows(null: Outcomes) -> list[str]:
    lines = [
        "| methods | noise, kinship | seeds | clips | all pairs (A) | against the baseline (B) |",
        "| ---: | :--- | ---: | ---: | ---: | ---: |",
    ]
    for s, o in null.items():
        b = f"{o.marks_b:.3f}" if s.methods > 2 else "the same"
        lines.append(f"| {s.methods} | {s.shape} | {s.seeds} | {s.clips:,} | {o.marks_a:.3f} | {b} |")
    return lines


def _power_rows(power: Outcomes) -> list[str]:
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


def _beside_the_grid(board: Measured, power: Outcomes) -> str:
    """The rows of the grid with as many seeds and 500 clips around the sd of a board, as it is seen."""
    said = (
        f"- {board.cell}, {board.seeds} seeds: a difference to the baseline varies over the seeds with an sd "
        f"of {board.sd:.1f} points ({board.low:.1f} to {board.high:.1f}, by entry)"
    )
    rows = sorted(
        (o.observed_sd, o.found_b, s.sd)
        for s, o in power.items()
        if (s.clips, s.seeds, s.methods, s.lead) == (500, board.seeds, 8, 5.0)
    )
    if not rows:
        return f"{said}; the grid has no row with {board.seeds} seeds."
    below = [row for row in rows if row[0] <= board.sd][-1:]
    above = [row for row in rows if row[0] > board.sd][:1]
    around = [*below, *above]
    where = " and ".join(f"{sd:g}" for _, _, sd in around)
    found = " to ".join(_point(share, 2) for share in sorted(share for _, share, _ in around))
    place = f"between the rows of sd {where}" if len(around) == 2 else f"beyond the row of sd {where}"
    return f"{said}: {place}, where family B of 8 methods finds a lead of 5 points on {found} of boards."


def write_into(page: Path, text: str) -> None:
    """Puts the tables between the two marks of a page."""
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: lacks the lines '{BEGIN}' and '{END}'.")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
