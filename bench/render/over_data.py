"""The summary over data sets in words and tables: "these data sets", and "new data sets" from six on."""

from __future__ import annotations

from bench.new_datasets import NewDatasets, RankComparison
from bench.render.tables import Table
from bench.render.words import (
    NONE,
    budget,
    cell_name,
    count,
    difference,
    interval,
    listing,
    name,
    p_equals,
    p_value,
    percent,
    ranges,
    signed,
)
from bench.stats.sign_flips import DRAWN, SEED
from bench.stats.signed_rank import LEAST_DATASETS
from bench.summary import Summary, SummaryRow

KEYS = (
    "rank",
    "group",
    "entry",
    "mean_over_data",
    "to_baseline",
    "p_baseline",
    "to_best",
    "p_best",
    "record",
    "flips",
)


def title(summary: Summary) -> str:
    """`These 2 data sets: a and b`; one of a single budget says which."""
    measured = "" if summary.measure == "top1" else ", mean per class"
    labels = f", {budget(summary.labels)}" if summary.labels else ""
    return f"These {len(summary.data)} data sets{labels}{measured}: {listing(list(summary.data))}"


def table(summary: Summary) -> Table:
    """The ranking over these data sets."""
    base = next((row.entry.label for row in summary.ranked if row.entry.role == "baseline"), "baseline")
    header = (
        "rank",
        "group",
        "entry",
        "mean % (95 %)",
        f"vs. {base} (95 %)",
        "p (B)",
        "vs. best (95 %)",
        "p (A)",
        "wins/ties/losses",
        "sign flips p",
    )
    rows = tuple(_row(row, i == 0) for i, row in enumerate(summary.ranked))
    return Table(header, rows, tuple(row.bold for row in summary.ranked), KEYS)


def _row(row: SummaryRow, first: bool) -> tuple[str, ...]:
    low, high = row.ranks or (0, 0)
    baseline = row.entry.role == "baseline"
    return (
        str(low) if low == high else f"{low}–{high}",
        row.letters or NONE,
        row.entry.label,
        percent(row.mean.estimate) + interval(row.mean.low, row.mean.high),
        "baseline" if baseline else difference(row.to_baseline),
        p_value(row.to_baseline.adjusted_p) if row.to_baseline else NONE,
        "best" if first else difference(row.to_best),
        p_value(row.to_best.adjusted_p) if row.to_best else NONE,
        "/".join(str(n) for n in row.record) if row.record else NONE,
        p_value(row.flips.p) if row.flips else NONE,
    )


def sentences(summary: Summary) -> list[str]:
    """The verdict over the data sets, and what it does not say."""
    if not summary.ranked:
        return [f"No claim over these data sets: {summary.reason}.", *_unranked(summary)]
    said = [_verdict(summary)]
    seeds = listing([f"{ranges(found)} on {data}" for data, found in summary.seeds.items()])
    weighed = (
        "data sets weigh equally. Its trials are also behind the summary over all label budgets: it is no "
        "independent confirmation"
        if summary.labels
        else "a data set's label budgets are averaged within each seed, and data sets weigh equally"
    )
    said.append(
        f"Over {listing([cell_name(cell) for cell in summary.cells])}: {weighed}. Seeds {seeds}. "
        "The claim is about these data sets with new seeds and clips. Sign flips compare the same blocks "
        f"(data set and seed) without assuming a normal distribution{_drawn(summary)}; their p is not "
        "adjusted."
    )
    return [*said, *_shared(summary), *_unranked(summary), *new(summary)]


def _shared(summary: Summary) -> list[str]:
    """The objection to a mean over data sets that share clips, as Gym99 and Gym288 do."""
    return [
        f"Not independent: {count(clips, 'test clip')} of {one} and {other} have the same name. Where these "
        "are the same clips, they are counted as if each data set had drawn its own, so intervals over these "
        "data sets are too narrow and p values too small."
        for one, other, clips in summary.shared
    ]


def _drawn(summary: Summary) -> str:
    """How the sign flips were resampled."""
    flips = [row.flips for row in summary.ranked if row.flips is not None]
    if not flips:
        return ""
    exact = all(each.exact for each in flips)
    return " (all flips enumerated)" if exact else f" ({DRAWN:,} flips drawn with seed {SEED})"


def _verdict(summary: Summary) -> str:
    alpha = summary.suite.alpha
    marked = [r for r in summary.ranked if r.to_baseline is not None and r.to_baseline.significant(alpha)]
    if not marked:
        return "Over these data sets no entry is shown to differ from the baseline."
    parts = [_against(row) for row in marked]
    return f"Over these data sets: {'; '.join(parts)}."


def _against(row: SummaryRow) -> str:
    c = row.to_baseline
    if c is None or c.adjusted_p is None:
        return ""
    verb = "beats" if c.estimate > 0 else "is worse than"
    size = f" after Holm over {c.size} tests" if c.size > 1 else ""
    points = percent(abs(c.estimate))
    return f"{name(row.entry.label)} {verb} the baseline by {points} points ({p_equals(c.adjusted_p)}{size})"


def _unranked(summary: Summary) -> list[str]:
    """Entries that no row has, those that lack the same cells in one sentence."""
    by_cells: dict[tuple[str, ...], list[str]] = {}
    for label, cells in summary.unranked.items():
        by_cells.setdefault(tuple(cells), []).append(name(label))
    return [
        f"Not ranked, for lack of finished seeds on {listing([cell_name(cell) for cell in cells])}: "
        f"{listing(labels)}."
        for cells, labels in by_cells.items()
    ]


def new(summary: Summary) -> list[str]:
    """What may be said about data sets that nobody has run."""
    if summary.new is None:
        return [
            f"New data sets: no claim, since that takes at least {LEAST_DATASETS} data sets and there are "
            f"{len(summary.data)}."
        ]
    found, alpha = summary.new, summary.suite.alpha
    marked = [c for c in found.against_baseline.values() if _marked(c, alpha)]
    parts = [
        f"{name(summary.order[c.a])} ({signed(c.estimate)} points, {p_equals(c.adjusted_p or 0.0)})"
        for c in marked
    ]
    shown = listing(parts) if parts else "none"
    tests = count(len(found.against_baseline), "test")
    return [
        f"New data sets (signed ranks of {len(summary.data)} data-set means, Holm over {tests}): shown to "
        f"differ from the baseline: {shown}.",
        *_omnibus(found),
    ]


def _marked(c: RankComparison, alpha: float) -> bool:
    return c.adjusted_p is not None and c.adjusted_p <= alpha


def _omnibus(found: NewDatasets) -> list[str]:
    if found.omnibus is None:
        return []
    p = found.omnibus.iman_davenport_p
    return [f"Friedman's test with Iman and Davenport's F over all entries: {p_equals(p)}; it names no pair."]
