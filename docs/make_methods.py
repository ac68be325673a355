"""Writes docs/methods.md from the registry of methods: their docstrings, settings and counted costs.

Example: python docs/make_methods.py          (with --check: says whether the page is in step, writes nothing)
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import plugins
from bench.method_facts import Facts, facts_of, measured_how
from methods.base import Method
from methods.config import Choices, Span, tuning_ranges
from methods.listed_apart import BOUNDS, NOT_IMPLEMENTABLE, Apart

PAGE = Path(__file__).parent / "methods.md"
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
    reason = "Published methods whose public description does not suffice to run them."
    parts += [apart("Not implementable from public facts", reason, NOT_IMPLEMENTABLE)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def glance(facts: dict[str, Facts]) -> str:
    """A table of all methods."""
    header = ("method", "venue", "views", "EMA targets", "parameters", "passes", "cost", "extra inputs")
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
