"""The listing of all methods: those that run, bounds, and those that nobody can implement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tabulate import tabulate

from bench.method_facts import Facts, facts_of
from bench.method_times import measured_how
from methods.base import Method, Source
from methods.listed_apart import BOUNDS, NOT_IMPLEMENTABLE, Apart

Row = dict[str, Any]

_LEGEND = """\
*: needs extra inputs, see below.  views: of unlabeled clips ('labeled_*': further ones of labeled clips).
EMA: the average of the weights makes targets.  parameters: beyond the backbone, with the small net and 12
classes.  passes: clips through backbones, forward + backward, per labeled clip, with as many unlabeled ones.
cost: of a step relative to labels alone, counted (a backward pass as two forward ones){measured}; image nets
and detectors come on top."""


def listing(names: Iterable[str], load: Callable[[str], type[Method]]) -> list[Row]:
    """One row per registered method, bound, and method that is not implementable, as plain data.

    Args:
        names: registered names.
        load: the class of a name.

    Returns:
        Rows with `name`, `kind` ("method", "broken", "bound" or "not implementable") and `summary`.
    """
    rows = [_row(name, load) for name in names]
    rows += [_apart(each, "bound") for each in BOUNDS]
    return rows + [_apart(each, "not implementable") for each in NOT_IMPLEMENTABLE]


def as_text(rows: Iterable[Row]) -> str:
    """The listing for a terminal."""
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    methods = by_kind.get("method", [])
    times = any(row["cost_measured"] is not None for row in methods)
    headers = ["name", "venue", "year", "views", "EMA", "parameters", "passes", "cost"]
    headers += ["time"] if times else []
    table = tabulate(
        [_cells(row, times) for row in methods],
        [*headers, "paper"],
        tablefmt="plain",
        disable_numparse=True,
        colalign=("left",) * 5 + ("right",) * (3 + times) + ("left",),
    )
    legend = _LEGEND.format(measured=f"; time: the same, {measured_how()}" if times else "")
    blocks = [table, legend]
    needs = [(row["name"], each) for row in methods for each in row["extra_inputs"]]
    if needs:
        blocks.append("\n".join(["Extra inputs:", *(f"  {name}: {_need(each)}" for name, each in needs)]))
    for kind, title in (
        ("bound", "Bounds, which see labels that others do not:"),
        ("not implementable", "Not implementable from public facts:"),
        ("broken", "Broken:"),
    ):
        if kind in by_kind:
            lines = (f"  {row['name']}: {row['reason']}" for row in by_kind[kind])
            blocks.append("\n".join([title, *lines]))
    return "\n\n".join(blocks)


def _row(name: str, load: Callable[[str], type[Method]]) -> Row:
    try:
        facts = facts_of(load(name))
    except Exception as error:  # the boundary to foreign code: a listing must not stop at one method
        reason = str(error) or type(error).__name__
        return {"name": name, "kind": "broken", "summary": f"broken: {reason}", "reason": reason}
    return {"name": name, "kind": "method", **_source(facts.source), **_numbers(facts)}


def _source(source: Source) -> Row:
    summary = f"{source.paper} ({source.venue} {source.year}) {source.link}"
    return {"summary": summary, **source._asdict()}


def _numbers(facts: Facts) -> Row:
    return {
        "views": list(facts.views),
        "ema_teacher": facts.teacher,
        "extra_inputs": [each._asdict() for each in facts.inputs],
        "separable": facts.separable,
        "parameters_beyond_backbone": facts.parameters,
        "forward_clips": facts.forward,
        "backward_clips": facts.backward,
        "cost_counted": round(facts.cost, 4),
        "cost_measured": facts.time,
        "cost_measured_how": measured_how() or None,
    }


def _apart(entry: Apart, kind: str) -> Row:
    return {"name": entry.name, "kind": kind, **_source(entry.source), "reason": entry.reason}


def _cells(row: Row, times: bool) -> list[str]:
    time = row["cost_measured"]
    return [
        row["name"] + ("*" if any(not each["optional"] for each in row["extra_inputs"]) else ""),
        row["venue"],
        str(row["year"]),
        "+".join(row["views"]) or "-",
        "yes" if row["ema_teacher"] else "-",
        f"{row['parameters_beyond_backbone']:,}",
        f"{row['forward_clips']:g}+{row['backward_clips']:g}",
        f"{row['cost_counted']:.2f}",
        *(["-" if time is None else f"{time:.2f}"] if times else []),
        row["paper"],
    ]


def _need(each: Row) -> str:
    kind = "can use" if each["optional"] else "needs"
    return f"{kind} {each['what']}: config field '{each['field']}' ({each['how']})"
