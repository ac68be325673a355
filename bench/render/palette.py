"""One color and one marker per entry, the same in every figure of a suite."""

from __future__ import annotations

from dataclasses import dataclass

from bench.suite import Suite

# The color-blind safe palette of seaborn ("colorblind", after Wong, Nature Methods 2011) without its gray
# and its light yellow and pink, which vanish as dots on white.
COLORS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#56b4e9", "#7f3c8d")
MARKERS = ("s", "D", "^", "v", "P", "X", "p", "<", "*", ">", "h")  # the baseline alone is a circle
BASELINE, APART = "#222222", "#8a8a8a"


@dataclass(frozen=True)
class Look:
    """How an entry is drawn."""

    color: str
    marker: str
    dash: str = ""
    """Lengths of dashes and gaps of its curves on the HTML page: bounds and references share one gray."""


def looks(suite: Suite) -> dict[str, Look]:
    """By entry label, over all sections.

    Competitors are colored in the suite's order, the baseline is near black, bounds and references are gray.
    Color and marker change together, so that nothing depends on color alone.
    """
    found: dict[str, Look] = {}
    competitors = 0
    for section in suite.sections.values():
        for entry in section.entries:
            if entry.label in found:
                continue
            if entry.role == "competitor":
                color, marker = COLORS[competitors % len(COLORS)], MARKERS[competitors % len(MARKERS)]
                found[entry.label] = Look(color, marker)
                competitors += 1
            elif entry.role == "baseline":
                found[entry.label] = Look(BASELINE, "o")
            else:
                found[entry.label] = Look(APART, "o", "7 3" if entry.role == "bound" else "2 3")
    return found
