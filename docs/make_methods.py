"""Writes docs/methods.md from the registry of methods: their docstrings, settings and counted costs.

Example: python docs/make_methods.py          (with --check: says whether the page is in step, writes nothing)
"""

from __future__ import annotations

import csv
import dataclasses
import inspect
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench import plugins
from bench.method_facts import Facts, facts_of
from bench.method_times import measured_how
from methods.base import Method
from methods.config import Choices, Span, tuning_ranges
from methods.listed_apart import BOUNDS, NOT_IMPLEMENTABLE, Apart

DOCS = Path(__file__).parent
PAGE = DOCS / "methods.md"
OURS = ("methods", "sefar")
COMMAND = "python docs/make_methods.py"

INTRO = f"""\
# Methods

This page is made from the code by `{COMMAND}`: change the docstrings, not this file.

All methods share the suite's clips, augmentations, optimizer and evaluation; a method is its views, its
losses and its settings.  "Default to be confirmed" marks a number that we took from memory of a paper or
from a descendant, not from the paper or its release.  `sg` stops gradients, `z` are logits, `p`
probabilities, `x_w` and `x_s` the weak and the strong view, U the unlabeled clips of a batch, C the classes,
L_s the cross-entropy of the labeled clips.

## At a glance

Passes are clips that a step sends through backbones, forward + backward, per labeled clip and with as many
unlabeled ones; cost counts a backward pass as two forward ones, relative to a step with labels alone.
Parameters are those beyond the backbone, with the small net (192 features) and 12 classes.  Image nets and
detectors of the methods with extra inputs come on top.

In parts: the method is separable, its losses are means of terms of single clips.  Where memory is short, its
batch may be accumulated from parts (`protocol.batch` with `accumulate: 2` and half the clips) for the same
step, dropout and batch normalization aside; `check-method` proves it.  The others are refused
there, unless the section states `independent_parts: true`: then each part is a batch of its own, with its own
thresholds, mixtures and contrasts, and gradients are averaged, as in the releases of SVFormer and SeFAR.

Extra inputs are files.  A suite's entry names them, as in `config: {{image_weights: /data/resnet18.pth}}`,
best by absolute paths; without them the method refuses and says what it needs.  A trial knows a file by its
path alone: other weights belong under another name.
"""


def page() -> str:
    """The whole page."""
    loaded = [plugins.method_class(name) for name in plugins.methods().names()]
    classes = [each for each in loaded if each.__module__.split(".")[0] in OURS]
    classes.sort(key=lambda each: (each.source.year, each.name))
    facts = {each.name: facts_of(each) for each in classes}
    parts = [INTRO + "\n" + glance(facts), shared()]
    parts += [section(each, facts[each.name]) for each in classes]
    parts += [apart("Bounds", "They see labels that the others do not.", BOUNDS)]
    parts += [classic()]
    reason = "Published methods whose public description does not suffice to run them."
    parts += [apart("Not implementable from public facts", reason, NOT_IMPLEMENTABLE)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def glance(facts: dict[str, Facts]) -> str:
    """A table of all methods."""
    header = (
        "method",
        "venue",
        "views",
        "EMA targets",
        "parameters",
        "passes",
        "cost",
        "in parts",
        "extra inputs",
    )
    rows = []
    for name, each in facts.items():
        needs = ", ".join(f"`{one.field}`" + (" (optional)" if one.optional else "") for one in each.inputs)
        rows.append(
            (
                f"[{name}](#{name})",
                f"{each.source.venue} {each.source.year}",
                ", ".join(each.views) or "–",
                "yes" if each.teacher else "–",
                f"{each.parameters:,}",
                f"{each.forward:g} + {each.backward:g}",
                f"{each.cost:.2f}",
                "yes" if each.separable else "–",
                needs or "–",
            )
        )
    how = measured_how()
    if not how:
        return table(header, rows)
    times = ["time", *("–" if each.time is None else f"{each.time:.2f}" for each in facts.values())]
    wider = [(*row[:7], time, *row[7:]) for row, time in zip([header, *rows], times, strict=True)]
    return table(wider[0], wider[1:]) + f"\n\ntime: the cost, {how}."


def shared() -> str:
    """The settings that all methods have."""
    text = prose(Method.Config)
    return f"## Settings of all methods\n\n{text}\n\n{settings(Method.Config, None)}"


def section(method: type[Method], facts: Facts) -> str:
    """What one method is."""
    source = facts.source
    parts = [
        f"## {method.name}",
        f"*{source.paper}*, {source.venue} {source.year}, <{source.link}>",
        prose(method),
    ]
    if method.Config is not Method.Config:
        own = prose(method.Config)
        written = not own.startswith(f"{method.Config.__name__}(")  # else the dataclass wrote a signature
        parts += [own if written else "", settings(method.Config, Method.Config)]
    for each in facts.inputs:
        kind = "Optional input" if each.optional else "Extra input"
        parts.append(f"{kind} `{each.field}`: {each.what} ({each.how}).")
    return "\n\n".join(part for part in parts if part)


def prose(thing: type[Any]) -> str:
    """A docstring as a paragraph of Markdown."""
    return inspect.cleandoc(thing.__doc__ or "")


def settings(config: type[Any], base: type[Any] | None) -> str:
    """A table of the fields that a config adds or changes, with defaults and tuning ranges."""
    before = {} if base is None else {field.name: field.default for field in dataclasses.fields(base)}
    ranges = tuning_ranges(config)
    rows = [
        (f"`{field.name}`", f"`{shown(field.default)}`", searched(ranges.get(field.name)))
        for field in dataclasses.fields(config)
        if field.name not in before or before[field.name] != field.default
    ]
    return table(("setting", "default", "tuned over"), rows) if rows else ""


def shown(value: Any) -> str:
    """A default, short enough for a table."""
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def searched(found: Choices | Span | None) -> str:
    """A tuning range."""
    if found is None:
        return "–"
    if isinstance(found, Choices):
        return ", ".join(f"`{shown(value)}`" for value in found.values)
    return f"`{found.low:g}` to `{found.high:g}`" + (" (log)" if found.log else "")


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def apart(title: str, what: str, entries: tuple[Apart, ...]) -> str:
    """A section about names that are no methods here."""
    lines = [
        f"- **{each.name}**: *{each.source.paper}*, {each.source.venue} {each.source.year}, "
        f"<{each.source.link}>: {each.reason}."
        for each in entries
    ]
    return "\n\n".join([f"## {title}", what, "\n".join(lines)])


CLASSIC = """\
## The suite classic

Every method that needs nothing but clips, with labels for 2 clips per class of `{cell}`, on {date}:
{trials} trials of 300 steps, {cpu} minutes of one core for training, after a search of 3 configurations per
row on one validation seed.  Intervals of 95 % and p (Holm over all comparisons with the baseline) are those
of the suite's leaderboard.  Used: the share of unlabeled clips that count, and how many of those have the
right pseudo-label, in the last fifth of the semi-supervised steps; labels right: of all clips, in the first
and in the last fifth of them.

    python -m bench tune --suite classic --configs 3 && python -m bench run --suite classic
    python docs/make_classic.py runs/classic && python docs/make_methods.py"""

BELOW = """\
### Rows below supervised-only

A method that the literature puts above and that falls below here is a suspected bug until explained.  Two
things hold for all rows.  Budgets count clips, so a step of `supervised` sees 24 labeled clips, one of the
others 8 labeled and 16 unlabeled ones: **the reference** is FixMatch with an unlabeled weight of 0, which is
what labels alone give under the schedule of those rows ({reference} % where supervised-only has
{baseline} %).  And five seeds tell little apart: only rows with p below 0.05 in the table are shown to
differ.  What follows is read from configs and training logs; shown by an experiment is what the controls at
the end show."""


def classic() -> str:
    """The table of the suite `classic`, and why rows stay below supervised-only."""
    found = json.loads((DOCS / "classic.json").read_text(encoding="utf-8"))
    with (DOCS / "classic_controls.csv").open(encoding="utf-8") as file:
        controls = list(csv.DictReader(file))
    rows = {row["entry"]: row for row in found["rows"]}
    baseline = rows[found["baseline"]]
    weightless = [float(c["top1"]) for c in controls if (c["entry"], c["field"]) == REFERENCE]
    said = {
        "cell": found["cell"],
        "date": found["date"],
        "trials": found["trials"],
        "cpu": f"{found['cpu_minutes']:.0f}",
        "reference": percent(statistics.fmean(weightless)),
        "baseline": percent(baseline["mean"]),
    }
    reasons = yaml.safe_load((DOCS / "classic_reasons.yaml").read_text(encoding="utf-8"))
    below = [row for row in rows.values() if row["mean"] < baseline["mean"]]
    why = [f"- **{row['entry']}** {reasons[row['entry']].format(**told(row, rows))}" for row in below]
    return "\n\n".join(
        [
            CLASSIC.format(**said),
            table(CLASSIC_HEADER, [classic_row(row) for row in rows.values()]),
            BELOW.format(**said),
            "\n".join(line.replace("\n", " ").strip() for line in why),
            CONTROLS,
            table(
                ("row", "changed", "seeds", "with the change", "as it was", "supervised"),
                list(control_rows(controls, rows, baseline)),
            ),
        ]
    )


REFERENCE = ("fixmatch", "unlabeled_weight")
CLASSIC_HEADER = ("entry", "top-1 %", "vs. supervised", "p", "used %", "of them right %", "labels right %")
CONTROLS = """\
Trials of the run with one setting changed (`benchmarks/classic_controls.py`), top-1 % over the same seeds.
Which setting to change was decided after the table and its logs were seen, and the test clips are those of
the table: the controls explain rows, they are no results:"""


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f}"


def classic_row(row: dict[str, Any]) -> tuple[str, ...]:
    """An entry's line of the table."""
    score = f"{percent(row['mean'])} ({percent(row['low'])} to {percent(row['high'])})"
    test, labels = row["against_baseline"], row["pseudo_labels"]
    against = ("–", "–")
    if test["estimate"] is not None:
        spread = f"({100 * test['low']:+.1f} to {100 * test['high']:+.1f})"
        against = (f"{100 * test['estimate']:+.1f} {spread}", f"{test['adjusted_p']:.3f}")
    name = row["entry"] + (" (bound)" if row["role"] == "bound" else "")
    if labels is None:
        return (name, score, *against, "–", "–", "–")
    right = " → ".join(f"{100 * value:.0f}" for value in labels["accuracy"])
    return (
        name,
        score,
        *against,
        *(f"{100 * v:.0f}" for v in (labels["used"][1], labels["precision"])),
        right,
    )


def told(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures that a reason may name."""
    labels, fixmatch = row["pseudo_labels"], rows["fixmatch"]["pseudo_labels"]
    values = {
        "used_start": labels["used"][0],
        "used_end": labels["used"][1],
        "accuracy_start": labels["accuracy"][0],
        "accuracy_end": labels["accuracy"][1],
        "precision": labels["precision"],
        "fixmatch_accuracy_end": fixmatch["accuracy"][1],
        "fixmatch_precision": fixmatch["precision"],
        "lowest": min(row["scores"].values()),
    }
    return {name: f"{100 * value:.0f} %" for name, value in values.items()} | {"config": row["config"]}


def control_rows(
    controls: list[dict[str, str]], rows: dict[str, dict[str, Any]], baseline: dict[str, Any]
) -> Iterator[tuple[str, ...]]:
    """One line per changed setting: means over the seeds that were run with it."""
    for entry, field, value in dict.fromkeys((c["entry"], c["field"], c["value"]) for c in controls):
        run = [c for c in controls if (c["entry"], c["field"], c["value"]) == (entry, field, value)]
        seeds = [c["seed"] for c in run]
        with_it = statistics.fmean(float(c["top1"]) for c in run)
        others = [statistics.fmean(r["scores"][seed] for seed in seeds) for r in (rows[entry], baseline)]
        was = rows[entry]["config"][field]
        change = f"`{field}: {value}` instead of `{shown(was)}`"
        yield (entry, change, ", ".join(seeds), *(percent(each) for each in (with_it, *others)))


def main() -> int:
    """Writes the page, or compares it."""
    made = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == made
        print(f"{PAGE.name} is in step" if same else f"{PAGE.name} is out of step: run {COMMAND}")
        return 0 if same else 1
    PAGE.write_text(made, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
