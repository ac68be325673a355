"""Numbers and lists as a reader wants them; plain text without any markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.board import Board, Row
from bench.families import Comparison

NONE = "–"
"""What stands where there is nothing to say."""


def percent(fraction: float) -> str:
    """`71.5` for 0.7154."""
    text = f"{100 * fraction:.1f}"
    return "0.0" if text == "-0.0" else text


def signed(fraction: float) -> str:
    """A difference in points with its sign: `+3.5`, `-0.4`, `0.0`."""
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def interval(low: float | None, high: float | None) -> str:
    """` (1.9 to 5.1)` of fractions, empty without an interval."""
    return "" if low is None or high is None else f" ({percent(low)} to {percent(high)})"


def accuracy(row: Row) -> str:
    """Mean with its 95 % interval, cut to the possible range."""
    if row.mean is None:
        return NONE
    low, high = row.mean.low, row.mean.high
    if len(row.used) < 3 or low is None or high is None:
        return percent(row.mean.estimate)
    return percent(row.mean.estimate) + interval(max(low, 0.0), min(high, 1.0))


def p_value(p: float | None) -> str:
    """`.013`, `< .001`, or a dash where no claim is made."""
    if p is None:
        return NONE
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".removeprefix("0") if p < 1 else "1"


def p_equals(p: float) -> str:
    """`p = .013` or `p < .001`."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def chance(probability: float) -> str:
    """`.94`, `0`, `1`: a probability that may be exactly 0 or 1."""
    return f"{probability:.2f}".removeprefix("0") if 0 < probability < 1 else f"{probability:.0f}"


def difference(comparison: Comparison | None) -> str:
    """`+3.5 (1.9 to 5.1)`."""
    if comparison is None:
        return NONE
    return signed(comparison.estimate) + interval(comparison.low, comparison.high)


def listing(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def name(label: str) -> str:
    """A label inside a sentence: in quotes where it could be taken for two."""
    return f"“{label}”" if "," in label or " and " in label else label


def ranges(numbers: Iterable[int]) -> str:
    """`0–4, 7` for 0, 1, 2, 3, 4, 7."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [str(r[0]) if len(r) == 1 else f"{r[0]}{', ' if len(r) == 2 else '–'}{r[-1]}" for r in runs]
    return ", ".join(parts) or NONE


def count(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`, `2 entries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def budget(labels: str) -> str:
    """A label budget in words."""
    if labels == "all":
        return "all clips labeled"
    if labels == "list":
        return "labels from a published list"
    if labels.endswith("%"):
        return f"{labels[:-1]} % of each class labeled"
    return f"{count(int(labels), 'label')} per class"


def cell_name(cell: str) -> str:
    """`synthgym@2` as `synthgym (2 labels per class)`."""
    data, _, labels = cell.rpartition("@")
    return f"{data} ({budget(labels)})"


def title(board: Board) -> str:
    """`synthgym, 2 labels per class`; a board on the mean per class says so."""
    measured = "" if board.measure == "top1" else ", mean per class"
    return f"{board.data}, {budget(board.labels)}{measured}"


def duration(seconds: float) -> str:
    """`32 s`, `4.2 min`, `3.1 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5940:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
