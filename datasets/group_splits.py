"""Label draws that take whole source videos, and draws that may leave classes without a label.

`datasets.splits` labels clips one by one: a seeded order per class, of which a budget takes the first.
Clips of one video look alike, so five labels out of one video are worth less than five out of five, and a
validation clip next to a labeled one of its video is easy.  Here one seeded order of the *sources* serves
all classes, and a class labels its clips in the order of their sources: a larger budget adds clips and
never drops one (nested), and all but the last source of a class are labeled whole.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from datasets import draws
from datasets.errors import UserError
from datasets.types import ClipRef, ClipTable

HELD_SHARE = 5
"""One label in so many, at most, becomes a validation clip, as in `datasets.splits`."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How many clips of a class of n are labeled: `per_class`, or max(1, round(fraction n)).

    With `allow_empty_classes` a class may have fewer clips than that, or none, and a fraction takes
    round(fraction n), which may be none; without it both are refused.
    """

    per_class: int | None = None
    fraction: Decimal | None = None
    allow_empty_classes: bool = False

    def count(self, clips: int) -> int:
        """Labels for a class of `clips` clips, as asked for: it may be more than there are."""
        if self.per_class is not None:
            return min(self.per_class, clips) if self.allow_empty_classes else self.per_class
        if self.fraction is None:
            return clips
        return max(0 if self.allow_empty_classes else 1, round(self.fraction * clips))


def labeled_by_source(table: ClipTable, budget: Budget, seed: int) -> tuple[int, ...]:
    """Positions in `table.train` of the clips that a seed labels, ascending; nested over budgets.

    Raises:
        UserError: a class has fewer clips than labels, and empty classes are not allowed.
    """
    rank = source_order(table.train, seed)
    members: dict[int, list[int]] = defaultdict(list)
    for place, clip in enumerate(table.train):
        members[clip.label].append(place)
    chosen: list[int] = []
    for label, name in enumerate(table.classes):
        order = sorted(members[label], key=lambda i: (rank[table.train[i].group], table.train[i].key))
        count = budget.count(len(order))
        if not budget.allow_empty_classes and (count > len(order) or not order):
            raise UserError(
                f"class '{name}' of data set '{table.name}' has {len(order)} training clips, but "
                f"{max(1, count)} of them should be labeled; ask for fewer labels, add clips of it, or "
                "accept classes without labels with --allow-empty-classes."
            )
        chosen.extend(order[:count])
    return tuple(sorted(chosen))


def source_order(clips: Sequence[ClipRef], seed: int) -> dict[str, int]:
    """The seeded rank of each source video; the order of the clips has no effect."""
    sources = sorted({clip.group for clip in clips})
    order = draws.generator(seed, "split/sources").permutation(len(sources))
    return {sources[place]: rank for rank, place in enumerate(order)}


def held_out(labeled: Sequence[ClipRef], seed: int) -> tuple[ClipRef, ...]:
    """Validation clips out of labeled ones: whole sources, at most a fifth of the labels of each class.

    So no source video is on both sides.  Few large sources may mean that there is no validation.
    """
    room = {label: n // HELD_SHARE for label, n in Counter(clip.label for clip in labeled).items()}
    by_source: dict[str, list[ClipRef]] = defaultdict(list)
    for clip in labeled:
        by_source[clip.group].append(clip)
    held: list[ClipRef] = []
    rank = source_order(labeled, seed)
    for source in sorted(by_source, key=rank.__getitem__, reverse=True):
        need = Counter(clip.label for clip in by_source[source])
        if all(room[label] >= count for label, count in need.items()):
            held.extend(by_source[source])
            for label, count in need.items():
                room[label] -= count
    return tuple(held)
