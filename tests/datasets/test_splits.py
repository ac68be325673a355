import itertools
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.errors import UserError
from datasets.splits import labeled_subset, make_split, small_classes
from datasets.types import UNKNOWN, ClipRef, ClipTable


def refs(counts: list[int], prefix: str = "train", per_group: int = 1) -> tuple[ClipRef, ...]:
    return tuple(
        ClipRef(
            f"{prefix}/{label}/{i}.mp4",
            Path(f"/here/{prefix}{label}{i}"),
            label,
            f"{prefix}{label}-{i // per_group}",
        )
        for label, count in enumerate(counts)
        for i in range(count)
    )


def table(counts: list[int], **roles: object) -> ClipTable:
    classes = tuple(f"class{label}" for label in range(len(counts)))
    roles = {"train": refs(counts), "test": refs([2] * len(counts), "test"), **roles}
    return ClipTable(name="mine", classes=classes, **roles)  # type: ignore[arg-type]


counts_of_classes = st.lists(st.integers(4, 40), min_size=1, max_size=5)
seeds = st.integers(0, 2**31)


@given(counts_of_classes, seeds, st.integers(1, 4), st.integers(1, 4))
def test_budgets_per_class_are_exact_and_nested(counts: list[int], seed: int, one: int, other: int) -> None:
    small, large = sorted((one, other))
    pool = table(counts)
    few, many = (labeled_subset(pool, size, None, seed) for size in (small, large))
    assert set(few) <= set(many)
    assert Counter(pool.train[i].label for i in many) == dict.fromkeys(range(len(counts)), large)


@given(counts_of_classes, seeds, st.tuples(st.integers(1, 100), st.integers(1, 100)))
def test_fractions_are_stratified_and_nested(counts: list[int], seed: int, percent: tuple[int, int]) -> None:
    pool = table(counts)
    few, many = (labeled_subset(pool, None, Decimal(p) / 100, seed) for p in sorted(percent))
    assert set(few) <= set(many)
    found = Counter(pool.train[i].label for i in many)
    for label, count in enumerate(counts):
        assert abs(found[label] - count * max(percent) / 100) <= 1
        assert found[label] >= 1


@given(counts_of_classes, seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_lists_is_without_effect(counts: list[int], seed: int, random: object) -> None:
    pool = table(counts)
    shuffled = list(pool.train)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = make_split(pool, "3", seed)
    other = make_split(table(counts, train=tuple(shuffled), test=pool.test[::-1]), "3", seed)
    assert one == other


@given(st.lists(st.integers(20, 60), min_size=1, max_size=4), seeds, st.integers(1, 7))
def test_carved_validation_shares_no_source_with_labels(counts: list[int], seed: int, per_group: int) -> None:
    pool = table(counts, train=refs(counts, per_group=per_group))
    split = make_split(pool, "20", seed)
    groups = {clip.group for clip in split.validation}
    assert groups.isdisjoint(clip.group for clip in split.labeled)
    assert len(split.labeled) + len(split.validation) == 20 * len(counts)
    carved = Counter(clip.label for clip in split.validation)
    assert all(carved[label] <= 4 for label in range(len(counts)))
    if per_group == 1:
        assert all(carved[label] == 4 for label in range(len(counts)))
    assert {clip.key for clip in split.validation}.isdisjoint(clip.key for clip in split.unlabeled)


def test_seeds_differ_and_repeat() -> None:
    pool = table([30, 30])
    draws = {labeled_subset(pool, 5, None, seed) for seed in range(10)}
    assert len(draws) == 10
    assert labeled_subset(pool, 5, None, 3) == labeled_subset(pool, 5, None, 3)


def test_a_draw_is_the_same_on_every_machine() -> None:
    # Another result here means that all published splits have changed: never adjust it.
    keys = [table([8, 8]).train[i].key for i in labeled_subset(table([8, 8]), 2, None, 0)]
    assert keys == ["train/0/1.mp4", "train/0/7.mp4", "train/1/2.mp4", "train/1/6.mp4"]


def test_fewer_than_twenty_labels_give_no_validation() -> None:
    assert make_split(table([40, 40]), "19", 0).validation == ()
    assert make_split(table([40, 40]), "20", 0).validation != ()


def test_validation_of_the_data_set_is_used_as_it_is() -> None:
    validation = refs([3, 3], "val")
    split = make_split(table([40, 40], validation=validation), "20", 0)
    assert set(split.validation) == set(validation)
    assert len(split.labeled) == 40


def test_a_validation_list_that_is_the_test_list_is_not_used() -> None:
    pool = table([40, 40])
    same = table([40, 40], validation=pool.test[::-1])
    assert make_split(same, "5", 0) == make_split(pool, "5", 0)
    assert make_split(same, "5", 0).validation == ()
    assert make_split(same, "20", 0).validation == make_split(pool, "20", 0).validation != ()


def test_the_unlabeled_pool_is_the_training_list_or_the_unlabeled_list() -> None:
    assert set(make_split(table([9, 9]), "2", 0).unlabeled) == set(table([9, 9]).train)
    pinned = table([2, 3], unlabeled=refs([5, 5], "unlabeled"))
    split = make_split(pinned, "list", 0)
    assert set(split.labeled) == set(pinned.train)
    assert set(split.unlabeled) == set(pinned.unlabeled or ())
    assert split == make_split(pinned, "list", 1)


def test_all_labels_are_those_of_both_lists() -> None:
    pinned = table([2, 3], unlabeled=refs([5, 5], "unlabeled"))
    assert len(make_split(pinned, "all", 0).labeled) == 15
    hidden = tuple(ClipRef(c.key, c.path, UNKNOWN, c.group) for c in refs([5, 5], "unlabeled"))
    with pytest.raises(UserError, match="labels of 10 unlabeled clips"):
        make_split(table([2, 3], unlabeled=hidden), "all", 0)


@pytest.mark.parametrize("labels", ["1", "5%", "all"])
def test_a_class_without_clips_is_named(labels: str) -> None:
    empty = table([3, 0])
    if labels == "all":
        assert len(make_split(empty, labels, 0).labeled) == 3
    else:
        sentence = r"1 of the 2 classes of data set 'mine' .* 'class1' \(0\).*--allow-empty-classes"
        with pytest.raises(UserError, match=sentence):
            make_split(empty, labels, 0)
        assert {clip.label for clip in make_split(empty, labels, 0, allow_empty_classes=True).labeled} == {0}


def test_a_budget_larger_than_a_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"fewer training clips than the 4 to be labeled: 'class1' \(3\);"):
        make_split(table([9, 3]), "4", 0)


def test_many_small_classes_are_named_up_to_three_and_counted() -> None:
    with pytest.raises(
        UserError, match=r"5 of the 6 .*'class1' \(1\), 'class2' \(1\), 'class3' \(0\) and 2 more"
    ):
        make_split(table([9, 1, 1, 0, 1, 1]), "2", 0)
    assert small_classes(table([9, 1, 1, 0, 1, 1]), "5%") == ("class3",)
    assert small_classes(table([9, 0]), "all") == ()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), seeds, st.sampled_from(["3", "10%", "50%"]))
def test_allowing_empty_classes_changes_nothing_for_the_others(
    counts: list[int], seed: int, labels: str
) -> None:
    pool = table([12, *counts])
    labeled = make_split(pool, labels, seed, allow_empty_classes=True).labeled
    found = Counter(clip.label for clip in labeled)
    large = [label for label, count in enumerate([12, *counts]) if count >= 3]
    alone = table([12, *(count if count >= 3 else 12 for count in counts)])
    reference = make_split(alone, labels, seed).labeled
    assert {c.key for c in labeled if c.label in large} == {c.key for c in reference if c.label in large}
    for label, count in enumerate([12, *counts]):
        assert found[label] <= count
        assert bool(found[label]) == bool(count), "a class with a clip has a label"


def _known(pool: ClipTable, labels: str, seed: int) -> set[str]:
    """The keys whose labels a budget tells: labeled clips and those carved from them."""
    split = make_split(pool, labels, seed)
    return {clip.key for clip in (*split.labeled, *split.validation)}


sources = st.lists(st.integers(0, 30), min_size=60, max_size=160)


@given(sources, st.integers(1, 3), seeds)
def test_fractions_of_any_sources_nest_and_never_share_one_with_validation(
    videos: list[int], classes: int, seed: int
) -> None:
    clips = tuple(
        ClipRef(f"{i}.mp4", Path(f"{i}.mp4"), i % classes, f"video{video}") for i, video in enumerate(videos)
    )
    pool = table([1] * classes, train=clips)
    known = [_known(pool, labels, seed) for labels in ("5%", "10%", "20%", "60%", "100%")]
    assert all(few <= many for few, many in itertools.pairwise(known))
    for labels in ("5%", "60%", "100%"):
        split = make_split(pool, labels, seed)
        held = {clip.group for clip in split.validation}
        assert held.isdisjoint(clip.group for clip in split.labeled)
        assert len(split.validation) <= len(split.labeled)
        assert {clip.label for clip in split.labeled} == set(range(classes)), "at least one per class"
        fewest = min(Counter(clip.label for clip in (*split.labeled, *split.validation)).values())
        assert fewest >= 20 or not split.validation


def test_a_list_budget_needs_a_list() -> None:
    with pytest.raises(UserError, match="number per class"):
        make_split(table([9, 9]), "list", 0)


def test_the_hash_follows_membership_and_not_the_machine() -> None:
    base = table([6, 6])
    reference = make_split(base, "2", 0).hash
    moved = tuple(ClipRef(c.key, Path("/elsewhere") / c.key, c.label, c.group) for c in base.train)
    assert make_split(table([6, 6], train=moved), "2", 0).hash == reference
    assert make_split(base, "3", 0).hash != reference
    assert make_split(base, "2", 1).hash != reference
    assert make_split(table([6, 6], test=base.test[1:]), "2", 0).hash != reference
    first = base.test[0]
    relabeled = (ClipRef(first.key, first.path, 1, first.group), *base.test[1:])
    assert make_split(table([6, 6], test=relabeled), "2", 0).hash != reference
    as_validation = make_split(table([6, 6], test=base.test[1:], validation=base.test[:1]), "2", 0)
    assert as_validation.hash != reference


@pytest.mark.parametrize("labels", ["2", "all"])
def test_nothing_is_ever_chosen_on_test_clips(labels: str) -> None:
    plain = table([30, 30])
    own = ClipRef("own.mp4", Path("own.mp4"), 0, "own.mp4")
    for scored in (plain.test, plain.test[:1]):
        split = make_split(table([30, 30], validation=scored), labels, 0)
        assert split == make_split(plain, labels, 0), "as without the list"
        split = make_split(table([30, 30], validation=(*scored, own)), labels, 0)
        assert split.validation == (own,)
