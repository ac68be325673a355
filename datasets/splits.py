"""Who is labeled: seeded, stratified, nested and hashed splits of a data set."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter

from datasets import draws
from datasets.errors import UserError
from datasets.types import UNKNOWN, ClipRef, ClipTable

CARVE_FROM = 20
"""Labels that each class must have before some of them become validation clips."""

CARVED_SHARE = 5
"""One label in so many, at most, becomes a validation clip."""

NAMED = 3
"""Classes with too few clips that a message names; the rest are counted."""


@dataclass(frozen=True)
class Split:
    """The clips of a trial by role, each role in the order of its keys; `hash` identifies the membership.

    `unlabeled` holds the labeled clips, too, where it is the training pool itself, as in the papers:
    a clip with a label is also a clip.  Carved validation clips are not in it.  Draws are nested over
    budgets *before* validation clips are carved from them, which happens for each budget anew: so what a
    budget tells in all, `labeled` and carved `validation` together, is within what a larger one tells.
    """

    labeled: tuple[ClipRef, ...]
    unlabeled: tuple[ClipRef, ...]
    validation: tuple[ClipRef, ...]
    test: tuple[ClipRef, ...]
    hash: str


def make_split(table: ClipTable, labels: str, seed: int, allow_empty_classes: bool = False) -> Split:
    """The split of a data set for a label budget and a seed.

    Args:
        table: clips by role.
        labels: "4" per class, "5%" of each class, "list" (the training list as it is), or "all" (every
            label that is known, those of the unlabeled list included: the bound).
        seed: decides who is labeled.
        allow_empty_classes: let a class with too few clips have what it has, perhaps no label at all.

    Raises:
        UserError: classes have too few clips, or the budget does not fit the data set.
    """
    pool = table.train
    if labels == "all":
        drawn = _all_labels(table)
    elif labels == "list":
        if not table.pinned:
            raise UserError(
                f"data set '{table.name}' has no list of unlabeled clips, so its training list is no label "
                "draw; give a number per class such as '4', or a share such as '5%'."
            )
        drawn = pool
    else:
        count, share = _budget(labels)
        places = labeled_subset(table, count, share, seed, allow_empty_classes)
        drawn = tuple(pool[place] for place in places)
    given = usable_validation(table)
    validation = given or _carve(drawn, table, seed)
    held = {clip.key for clip in validation} if not given else set()
    return split_of(
        table,
        labeled=[clip for clip in drawn if clip.key not in held],
        unlabeled=[
            clip for clip in (pool if table.unlabeled is None else table.unlabeled) if clip.key not in held
        ],
        validation=validation,
    )


def usable_validation(table: ClipTable) -> tuple[ClipRef, ...]:
    """The validation list of a data set without test clips, on which nothing may be chosen."""
    test = {clip.key for clip in table.test}
    return tuple(clip for clip in table.validation if clip.key not in test)


def labeled_subset(
    table: ClipTable,
    per_class: int | None,
    fraction: Decimal | float | None,
    seed: int,
    allow_empty_classes: bool = False,
) -> tuple[int, ...]:
    """Positions in `table.train` of the clips that a seed labels, ascending.

    Each class has one seeded order, and a budget takes its first clips: smaller budgets of a seed are
    subsets of larger ones.  The order starts from the sorted keys, so the list's own order is without
    effect.  A fraction f takes max(1, round(f n)) of the n clips of a class.  With `allow_empty_classes` a
    class that has fewer clips than that gives all of them; other classes give the same clips as without.

    Raises:
        UserError: a class has no clip, or fewer than `per_class`, and that is not allowed; names them.
    """
    if not allow_empty_classes:
        _refuse_small(table, per_class)
    chosen: list[int] = []
    for order in _class_orders(table, seed):
        if per_class is not None:
            count = per_class
        elif fraction is not None:
            count = max(1, round(Decimal(str(fraction)) * len(order)))
        else:
            count = len(order)
        chosen.extend(order[:count])
    return tuple(sorted(chosen))


def small_classes(table: ClipTable, labels: str) -> tuple[str, ...]:
    """The classes with fewer clips than a budget asks for; `list` and `all` ask for none."""
    if labels in ("list", "all"):
        return ()
    return tuple(_small(table, _budget(labels)[0]))


def _budget(labels: str) -> tuple[int | None, Decimal | None]:
    """(labels per class, None) or (None, share of each class)."""
    return (None, Decimal(labels[:-1]) / 100) if labels.endswith("%") else (int(labels), None)


def _small(table: ClipTable, per_class: int | None) -> dict[str, int]:
    """Clips by class, of those classes that have too few to be labeled; a share needs one."""
    clips = Counter(clip.label for clip in table.train)
    return {
        name: clips[label]
        for label, name in enumerate(table.classes)
        if clips[label] < max(1, per_class or 1)
    }


def _refuse_small(table: ClipTable, per_class: int | None) -> None:
    small = _small(table, per_class)
    if not small:
        return
    first = list(small.items())[:NAMED]
    more = f" and {len(small) - NAMED} more" if len(small) > NAMED else ""
    named = ", ".join(f"'{name}' ({count})" for name, count in first)
    raise UserError(
        f"{len(small)} of the {len(table.classes)} classes of data set '{table.name}' have fewer training "
        f"clips than the {max(1, per_class or 1)} to be labeled: {named}{more}; ask for fewer labels, add "
        "clips of them, or take such classes as they are with --allow-empty-classes."
    )


def split_of(
    table: ClipTable,
    labeled: Iterable[ClipRef],
    unlabeled: Iterable[ClipRef],
    validation: Iterable[ClipRef],
) -> Split:
    """A split from its members, ordered and hashed."""
    roles = {
        "labeled": _ordered(labeled),
        "unlabeled": _ordered(unlabeled),
        "validation": _ordered(validation),
        "test": _ordered(table.test),
    }
    return Split(**roles, hash=split_hash(roles, table.classes))


def split_hash(roles: Mapping[str, Sequence[ClipRef]], classes: Sequence[str]) -> str:
    """SHA-256 over role, key and class name of every clip; neither order nor machine paths matter."""
    named = {UNKNOWN: "?", **dict(enumerate(classes))}
    lines = [
        f"{role}\0{clip.key}\0{named[clip.label]}\n"
        for role in sorted(roles)
        for clip in _ordered(roles[role])
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


_KEY = attrgetter("key")


def _ordered(clips: Iterable[ClipRef]) -> tuple[ClipRef, ...]:
    return tuple(sorted(clips, key=_KEY))


def nameless(table: ClipTable) -> int:
    """How many clips to train on have a label that nobody has told us."""
    return sum(clip.label == UNKNOWN for clip in _pool(table).values())


def _all_labels(table: ClipTable) -> tuple[ClipRef, ...]:
    if count := nameless(table):
        raise UserError(
            f"the labels of {count} unlabeled clips of data set '{table.name}' are not known, so 'all' "
            "labels cannot be used; leave out this bound, or give the unlabeled list with labels."
        )
    return tuple(_pool(table).values())


def _pool(table: ClipTable) -> dict[str, ClipRef]:
    return {clip.key: clip for clip in (*(table.unlabeled or ()), *table.train)}


def _class_orders(table: ClipTable, seed: int) -> list[list[int]]:
    """Per class the positions of its training clips, in the order in which a seed labels them."""
    members: dict[int, list[int]] = defaultdict(list)
    for place, clip in enumerate(table.train):
        members[clip.label].append(place)
    orders = []
    for label, name in enumerate(table.classes):
        places = sorted(members[label], key=lambda place: table.train[place].key)
        permutation = draws.generator(seed, f"split/{name}").permutation(len(places))
        orders.append([places[i] for i in permutation])
    return orders


def _carve(drawn: Sequence[ClipRef], table: ClipTable, seed: int) -> tuple[ClipRef, ...]:
    """Validation clips out of the labels: whole source videos, at most a fifth of each class.

    Sources are tried in a seeded order, and one that would take more than its share of any class is
    passed over: so no class loses its labels, and with few large sources there may be no validation.
    """
    labels = Counter(clip.label for clip in drawn)
    if min((labels[label] for label in range(len(table.classes))), default=0) < CARVE_FROM:
        return ()
    sources: dict[str, list[ClipRef]] = defaultdict(list)
    for clip in drawn:
        sources[clip.group].append(clip)
    names = sorted(sources)
    room = {label: count // CARVED_SHARE for label, count in labels.items()}
    carved: list[ClipRef] = []
    for place in draws.generator(seed, "split/validation").permutation(len(names)):
        clips = sources[names[place]]
        need = Counter(clip.label for clip in clips)
        if all(room[label] >= count for label, count in need.items()):
            carved.extend(clips)
            for label, count in need.items():
                room[label] -= count
    return tuple(carved)
