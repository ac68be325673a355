"""Comparisons on a terminal.  Names from suites and data are plain text here, never markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.compare import HeadToHead, Overview
from bench.families import EFFECT, MIN_SEEDS
from bench.gaps import ClipGap
from bench.mixing import WARNING
from bench.render.words import (
    NONE,
    budget,
    chance,
    count,
    interval,
    p_equals,
    p_value,
    percent,
    ranges,
    signed,
)
from bench.stats import Estimate

DETECTABLE = "the difference in points that the cell would have shown with a probability of 80 %"

CLASSES = 5
CLIPS = 4
"""How many classes, and clips of each kind, fit one screen."""


def head_to_head(found: HeadToHead, classes: Sequence[str]) -> RenderableType:
    """Everything about one pair on one cell, on one screen."""
    data, _, labels = found.cell.rpartition("@")
    what = "top-1" if found.measure == "top1" else "mean per-class accuracy"
    title = f"{found.a} against {found.b} on {data}, {budget(labels)}: {what}"
    parts: list[RenderableType] = [
        Text(title, style="bold"),
        Text(verdict(found)),
        _numbers(found),
        _classes(found, classes),
        _clips(found, classes),
    ]
    parts += [
        Text(caution if caution.startswith(WARNING) else f"Note: {caution}") for caution in found.cautions
    ]
    return Group(*parts)


def verdict(found: HeadToHead) -> str:
    """What may be claimed, in one sentence."""
    test = found.difference
    if len(found.seeds) < MIN_SEEDS:
        return (
            f"Insufficient seeds: {count(len(found.seeds), 'shared seed')}, and with fewer than {MIN_SEEDS} "
            "no claim is made."
        )
    if test.p is None:
        return f"No claim: {test.reason}."
    if found.significant:
        verb = "beats" if test.estimate > 0 else "is worse than"
        return f"{found.a} {verb} {found.b} by {percent(abs(test.estimate))} points ({p_equals(test.p)})."
    margin = f"±{found.suite.equivalence_points:g} points"
    if found.equivalent:
        return f"Equivalent within {margin}: the 90 % interval lies inside."
    return (
        f"No difference is shown ({p_equals(test.p)}); nor is it shown that they are equal within {margin}."
    )


def _numbers(found: HeadToHead) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")
    test = found.difference
    tested = len(found.seeds) >= MIN_SEEDS
    videos = f" of {len(set(found.scored.groups)):,} videos" if found.scored.clusters else ""
    rows = [
        (found.a, f"{_accuracy(found.mean_a, tested)}   by seed: {_by_seed(found.scores_a)}"),
        (found.b, f"{_accuracy(found.mean_b, tested)}   by seed: {_by_seed(found.scores_b)}"),
        (
            "difference",
            f"{signed(test.estimate)} points{interval(test.low, test.high) if tested else ''}"
            + ("   95 % t interval" if tested and test.low is not None else ""),
        ),
        (
            "p",
            f"{p_value(test.p) if tested else NONE}   two-way paired t of this pair alone"
            + (f", {test.df:.1f} degrees of freedom" if tested and test.df is not None else ""),
        ),
        ("seeds", f"{ranges(found.seeds)}   {_record(found)}"),
        (f"P({found.a} better)", f"{chance(found.superiority)} for a run of each, ties counted half"),
        ("test clips", f"{len(found.scored.clips):,}{videos}"),
        (
            "detectable",
            NONE
            if found.detectable is None
            else f"{percent(found.detectable)} points would have been found with a probability of 80 %",
        ),
        ("more seeds", _more(found)),
    ]
    for name, text in [*rows, *_sensitivity(found)]:
        table.add_row(Text(name), Text(text))
    return table


def _accuracy(mean: Estimate, tested: bool) -> str:
    text = f"{percent(mean.estimate)} %"
    return text + (interval(mean.low, mean.high) if tested else "")


def _by_seed(scores: Mapping[int, float]) -> str:
    values = list(scores.values())
    shown = " ".join(percent(value) for value in values[:10])
    return shown + (" …" if len(values) > 10 else "")


def _more(found: HeadToHead) -> str:
    """How many more seeds a claim would need, for the difference seen and for 5 points."""
    points = f"{100 * EFFECT:.0f} points"
    if found.significant:
        mine = "none for a claim about this difference"
    else:
        mine = f"{_seeds(found.more_seeds)} for a difference as seen"
    return f"{mine}; {_seeds(found.more_for_effect)} for {points} (80 % power, rough below 10 seeds)"


def _seeds(more: int | None) -> str:
    if more is None:
        return "not with seeds alone (up to 1,000 more; add test clips)"
    return f"about {more} more" if more else "these, or a few more,"


def _record(found: HeadToHead) -> str:
    wins, ties, losses = found.record
    lost = "1 loss" if losses == 1 else f"{losses:,} losses"
    return f"{count(wins, 'win')}, {ties:,} tie{'' if ties == 1 else 's'}, {lost} of {found.a}"


def _sensitivity(found: HeadToHead) -> list[tuple[str, str]]:
    changed = found.sensitivity
    rows = []
    if changed is not None and changed.worst is not None and changed.best is not None:
        rows.append(
            (
                "if missing",
                f"{signed(changed.worst.estimate)} to {signed(changed.best.estimate)} points, were the runs "
                f"that one side lacks (seeds {ranges(changed.one_sided)}) the worst or the best",
            )
        )
    if changed is not None and changed.without_diverged is not None:
        rows.append(
            ("if none diverged", f"{signed(changed.without_diverged.estimate)} points on the other seeds")
        )
    return rows


def _classes(found: HeadToHead, names: Sequence[str]) -> RenderableType:
    shown = [gap for gap in found.classes if gap.a != gap.b][:CLASSES]
    title = f"Classes where they differ most ({len(found.classes)} classes, described, not tested)"
    table = _table()
    for header in ("class", found.a, found.b, "difference", "clips"):
        table.add_column(Text(header), justify="left" if header == "class" else "right")
    for gap in shown:
        cells = (
            names[gap.label],
            f"{percent(gap.a)} %",
            f"{percent(gap.b)} %",
            signed(gap.a - gap.b),
            f"{gap.clips}",
        )
        table.add_row(*map(Text, cells))
    if not shown:
        table.add_row(Text("none: equal in every class"))
    return Group(Text(title), table)


def _clips(found: HeadToHead, names: Sequence[str]) -> RenderableType:
    n = len(found.seeds)
    only_a, only_b = found.shares
    tables = [
        _clip_table(f"Clips that {found.a} gets right more often", found.only_a, only_a, n, names, found),
        _clip_table(f"Clips that {found.b} gets right more often", found.only_b, only_b, n, names, found),
    ]
    return Group(*tables)


def _clip_table(
    title: str, gaps: Sequence[ClipGap], share: float, seeds: int, names: Sequence[str], found: HeadToHead
) -> RenderableType:
    wrong = f"right where the other is wrong: {percent(share)} % of all answers"
    table = _table()
    for header in ("clip", "class", found.a, found.b):
        table.add_column(Text(header), overflow="fold")
    for gap in gaps[:CLIPS]:
        cells = (gap.clip, names[gap.label], f"{gap.a} of {seeds}", f"{gap.b} of {seeds}")
        table.add_row(*map(Text, cells))
    return Group(Text(f"{title}: {len(gaps):,} ({wrong})"), table)


def overview(found: Overview) -> RenderableType:
    """One line per cell, and the mean over the data sets."""
    first = found.cells[0]
    title = f"{first.a} against {first.b}: {'top-1' if first.measure == 'top1' else 'mean per class'}"
    table = _table()
    for header in (
        "cell",
        first.a,
        first.b,
        "difference (95 %)",
        "p",
        "wins/ties/losses",
        "detectable",
        "seeds",
    ):
        table.add_column(Text(header), justify="left" if header == "cell" else "right")
    for cell in found.cells:
        test = cell.difference
        tested = len(cell.seeds) >= MIN_SEEDS
        cells = (
            cell.cell,
            f"{percent(cell.mean_a.estimate)} %",
            f"{percent(cell.mean_b.estimate)} %",
            signed(test.estimate) + (interval(test.low, test.high) if tested else ""),
            p_value(test.p) if tested else NONE,
            "/".join(str(n) for n in cell.record),
            NONE if cell.detectable is None else percent(cell.detectable),
            str(len(cell.seeds)),
        )
        table.add_row(*map(Text, cells))
    parts: list[RenderableType] = [Text(title, style="bold"), table]
    if found.overall is not None and found.overall.p is not None:
        mean = found.overall
        parts.append(
            Text(
                f"These {len(found.data)} data sets, label budgets averaged: {signed(mean.estimate)} points"
                f"{interval(mean.low, mean.high)}, {p_equals(found.overall.p)}. It says nothing about others."
            )
        )
    parts.append(Text(f"detectable: {DETECTABLE}."))
    parts.append(Text("Each p is of its own cell alone. For classes and clips name one cell, for example:"))
    data, _, labels = first.cell.rpartition("@")
    parts.append(Text(f"  --dataset {data} --fraction {labels}"))
    return Group(*parts)


def _table() -> Table:
    """A table without a title: Rich breaks a title to the width of its table."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False)
