"""FineGym (Shao et al., CVPR 2020): gymnastics elements in 99 or 288 classes, their events and sets.

Element lists are lines `<id> <label>` with ids like `A0xAXXysHUo_E_002184_002237_A_0035_0036`: a video,
an event of it and a sub-action of that, both by start and end.  The training lists come in the versions
1.0 and 1.1, the list of the official validation part (the test part here, as in the papers) in one.

Subsets are those of the papers: an event (VT, FX, BB, UB) or the k-th set of an event (UB-S1), with the
classes in their official order, counted from 0, or the classes of Gym-New.  The videos are cut clips
`<id>.mp4` in one folder, or full videos `<video>.mp4` that are cut once by the annotation file (see
`datasets.clip_making`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from datasets.annotated import AnnotatedSet, label_in, one_each, read_json, read_rows
from datasets.clip_making import Cut, made_folder, make_clips
from datasets.errors import UserError
from datasets.source_names import source_of
from datasets.types import ClipRef, ClipTable
from datasets.video_folder import Folder

EVENTS = {"vt": 1, "fx": 2, "bb": 3, "ub": 4}
"""Event name -> first digit of the numbers of its sets."""

SETS = {"vt": 0, "fx": 5, "bb": 5, "ub": 4}
"""Sets per event.  The vault has one set (its number is 1), which is the event itself."""

NEW = (
    *(106, 117, 107, 118, 108, 122, 109, 123, 208, 216, 209, 217, 211, 225, 212, 222, 213, 223, 234, 236),
    *(237, 244, 239, 243, 241, 246, 248, 250, 249, 251, 254, 255, 257, 259, 258, 260, 271, 272, 277, 278),
)
"""Gym-New: the classes of Gym288 in the order in which the published Gym-New lists number them."""

TRAINING_CLIPS = {"99": {"1.0": 20_484, "1.1": 26_320}, "288": {"1.0": 22_671, "1.1": 29_334}}
"""Lines of the training lists: mmaction2's names of them do not tell the version."""

_ID = re.compile(r"(?P<video>.+)_(?P<event>E_\d{6}_\d{6})_(?P<action>A_\d{4}_\d{4})")
_CATEGORY = re.compile(r"Clabel:\s*(?P<label>\d+);\s*set:\s*(?P<set>\d+);\s*Glabel:\s*\d+;\s*(?P<text>.+)")
_FORMAT = re.compile(
    r"gym(?P<size>99|288)(?:_v(?P<version>1\.[01]))?"
    r"(?:_(?P<new>new)|_(?P<event>[a-z]{2})(?:_s(?P<set>\d))?)?"
)


class Category(NamedTuple):
    """One class: its official label, the number of its set, its description."""

    label: int
    set: int
    text: str


def _formats() -> dict[str, str]:
    found = {}
    for size in ("99", "288"):
        for version in ("", "_v1.0", "_v1.1"):
            base = f"gym{size}{version}"
            about = f"FineGym, {size} classes, training list {version[1:] or 'v1.1'}"
            found[base] = about
            if size == "288":
                found[f"{base}_new"] = f"{about}, the {len(NEW)} classes of Gym-New"
            for event, count in SETS.items():
                found[f"{base}_{event}"] = f"{about}, event {event.upper()}"
                for number in range(1, count + 1):
                    found[f"{base}_{event}_s{number}"] = f"{about}, set {event.upper()}-S{number}"
    return found


class FineGym(AnnotatedSet):
    """FineGym's element lists; `gym99` is version 1.1, `gym99_v1.0` the older training list."""

    formats: ClassVar[Mapping[str, str]] = _formats()
    origin: ClassVar[str] = "the FineGym project page (resources/dataset)"

    def read(self) -> ClipTable:
        """The official training list and, as test, the official validation list."""
        found = _FORMAT.fullmatch(self.place.format)
        assert found is not None, self.place.format
        size, version = found["size"], found["version"] or "1.1"
        categories = read_categories(self.annotation(f"gym{size}_categories.txt"))
        if found["new"]:
            chosen = self._new(categories)
        else:
            chosen = [each for each in categories if in_subset(each.set, found["event"], found["set"])]
        position = {each.label: place for place, each in enumerate(chosen)}
        count = len(categories)
        train = self._training_list(size, version)
        test = self.annotation(f"gym{size}_val_element.txt", *_mmaction(size, "val"))
        return ClipTable(
            name=self.name,
            classes=tuple(each.text for each in chosen),
            train=one_each(self._clips(train, count, position)),
            test=one_each(self._clips(test, count, position)),
            mirror=True,  # no class is told by left or right
        )

    def _training_list(self, size: str, version: str) -> Path:
        official = f"gym{size}_train_element_v{version}.txt"
        path = self.annotation(official, *_mmaction(size, "train"))
        if path.name == official:
            return path
        lines, known = len(read_rows(path)), TRAINING_CLIPS[size]
        fits = next((each for each, count in known.items() if count == lines), None)
        if fits is None:
            counts = " and ".join(f"{count:,} of {each}" for each, count in known.items())
            raise UserError(
                f"{path}: has {lines:,} lines, which fits no version of the training list ({counts}); get "
                f"{official} from {self.origin}."
            )
        if fits != version:
            part = re.sub(r"^gym\d+(_v1\.[01])?", "", self.place.format)
            raise UserError(
                f"{path}: has {lines:,} lines, so it seems to be the training list of version {fits}, not "
                f"{version}; add the set with --format gym{size}_v{fits}{part}, or get {official} from "
                f"{self.origin}."
            )
        return path

    def _new(self, categories: list[Category]) -> list[Category]:
        if len(categories) <= max(NEW):
            path = self.annotation("gym288_categories.txt")
            raise UserError(f"{path}: has {len(categories)} of 288 classes; fetch the file again.")
        return [categories[label] for label in NEW]

    def prepare(self) -> None:
        """Cuts clips that are no files out of full videos, where the annotation file is there."""
        if self._info is not None:
            made = made_folder(self.name)
            wanted = {clip.path: clip.key for clip in self.table().clips() if clip.path.is_relative_to(made)}
            self.unmade = make_clips(self._cuts(wanted), self.name)
        super().prepare()

    @cached_property
    def _info(self) -> Path | None:
        """The file with the times of all sub-actions, where it is there."""
        below = self.place.annotations
        found = [
            *below.glob("finegym_annotation_info_v1.*.json"),
            *below.glob("*/finegym_annotation_info_v1.*.json"),
        ]
        return max(found, default=None)

    def _clips(self, path: Path, count: int, position: Mapping[int, int]) -> Iterator[tuple[str, ClipRef]]:
        files, made = Folder(self.place.videos), made_folder(self.name)
        for number, row in read_rows(path):
            where = f"{path}:{number}"
            stem, _, label = row.rpartition(" ")
            stem = stem.strip().removesuffix(".mp4")
            if _ID.fullmatch(stem) is None:
                raise UserError(f"{where}: expected '<video>_E_..._A_... <label>', found '{row}'.")
            official = label_in(count, label, where)
            if official not in position:
                continue
            file = files.clip(stem)
            if self._info is not None and not file.is_file():
                file = made / f"{stem}.mp4"
            yield where, ClipRef(f"{stem}.mp4", file, position[official], source_of(stem))

    def _cuts(self, wanted: Mapping[Path, str]) -> Iterator[Cut]:
        if not wanted or self._info is None:
            return
        times = read_json(self._info)
        files = Folder(self.place.videos)
        for target, key in wanted.items():
            span = clip_times(times, key.removesuffix(".mp4"), self._info)
            if span is not None:
                yield Cut(files.clip(source_of(key)), target, *span)


def _mmaction(size: str, role: str) -> tuple[str, str]:
    """Names that mmaction2 gives the lists: as fetched, and with the clips' extension."""
    return f"gym{size}_{role}_org.txt", f"gym{size}_{role}.txt"


def in_subset(number: int, event: str | None, place: str | None) -> bool:
    """Whether a set of classes belongs to an event, or is the `place`-th set of it."""
    if event is None:
        return True
    digit = EVENTS[event]
    return str(number)[0] == str(digit) if place is None else number == 10 * digit + int(place)


def read_categories(path: Path) -> list[Category]:
    """The classes of a `gym*_categories.txt`, in the order of their labels 0, 1, 2, ...

    Raises:
        UserError: a line is not understood, or the labels have a gap.
    """
    found = []
    for number, row in read_rows(path):
        match = _CATEGORY.fullmatch(row)
        if match is None:
            raise UserError(f"{path}:{number}: expected 'Clabel: n; set: n; Glabel: n; text', found '{row}'.")
        found.append(Category(int(match["label"]), int(match["set"]), match["text"]))
    found.sort()
    if [each.label for each in found] != list(range(len(found))):
        raise UserError(f"{path}: the class labels are not 0 to {len(found) - 1}; fetch the file again.")
    return found


def clip_times(info: Mapping[str, Any], stem: str, path: Path) -> tuple[float, float] | None:
    """Start and end of a sub-action in seconds of its video; None where the file does not tell them.

    Times of an event are absolute, those of a sub-action relative to its event; one of several stages
    (the vault has three) runs from the start of the first to the end of the last.

    Raises:
        UserError: the entry has another shape.
    """
    match = _ID.fullmatch(stem)
    if match is None:
        return None
    try:
        event = info[match["video"]][match["event"]]
        stages = (event["segments"] or {})[match["action"]]["timestamps"]
        start = float(event["timestamps"][0][0])
        return start + float(stages[0][0]), start + float(stages[-1][-1])
    except KeyError:
        return None
    except (TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path}: the times of '{stem}' are not understood; fetch the file again.") from error
