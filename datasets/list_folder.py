"""A folder of clip lists, as papers publish them: train, unlabeled, validation and test, taken as they are.

With an unlabeled list the training list is the label draw; without one it is a pool of which seeds label
some.  A validation list that equals the test list is ignored: choosing a model on it would be choosing on
the test.  Keys are the listed paths without the folders that all of them share, so that they are the same
for any prefix; files are found by that path below the folder of videos, or by their name alone.

Beside imported lists lies `pins.json` with the hash of each: lists that have changed are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from datasets.annotated import AnnotatedSet, read_json
from datasets.clip_making import Join, made_folder, make_clips
from datasets.errors import UserError
from datasets.list_labels import no_class
from datasets.list_lines import ClipList, ListRow, read_clip_list
from datasets.source_names import SUFFIX, source_of
from datasets.types import UNKNOWN, ClipRef, ClipTable
from datasets.video_folder import Folder

PINS = "pins.json"
LIST_SUFFIXES = (".csv", ".txt", ".tsv", ".list")

NAMES = {
    "train": ("train", "labeled", "labelled"),
    "unlabeled": ("unlabel", "unlabeled", "unlabelled"),
    "validation": ("val", "valid", "validation", "validate"),
    "test": ("test",),
}
"""Role -> words that say it in the name of a list."""

MISSPELLED = {"unlabe": "unlabeled"}
"""Names that a published list has by mistake; its role is beyond doubt, and the audit says so."""

MOST_CLASSES = 100_000
"""A higher class number is taken for a mistake: all numbers up to the highest are classes."""

_INTEGER = re.compile(r"-?\d+")


class ListFolder(AnnotatedSet):
    """Clips by role from a folder of lists."""

    formats: ClassVar[Mapping[str, str]] = {"lists": "a folder with train, unlabeled, val and test lists"}
    origin: ClassVar[str] = "whoever published the lists"

    @property
    def videos_option(self) -> str:
        """That of `data splits import` where it has pinned the lists."""
        return "--root" if (self.place.annotations / PINS).is_file() else super().videos_option

    @property
    def lists(self) -> Path | None:
        """The folder itself."""
        return self.place.annotations

    def read(self) -> ClipTable:
        """The lists of the folder, checked against their pins where they have some."""
        check_pins(self.place.annotations)
        lists = {role: read_clip_list(path) for role, path in role_files(self.place.annotations).items()}
        if "train" not in lists or not {"test", "validation"} & set(lists):
            raise UserError(
                f"{self.place.annotations} needs a training and a test list, named as 'train.csv' and "
                f"'test.csv'; found: {', '.join(sorted(lists)) or 'none'}."
            )
        if "test" not in lists:
            lists["test"] = lists.pop("validation")
        prefix = shared_prefix(lists.values())
        classes = class_names(lists)
        refs = {role: self._refs(lists[role], prefix, classes, role == "unlabeled") for role in lists}
        validation = refs.get("validation", ())
        if {clip.key for clip in validation} == {clip.key for clip in refs["test"]}:
            validation = ()
        return ClipTable(
            name=self.name,
            classes=classes,
            train=refs["train"],
            test=refs["test"],
            validation=validation,
            unlabeled=refs.get("unlabeled"),
            mirror=self.place.mirror,
        )

    def prepare(self) -> None:
        """Joins folders of frames into video files where the list names such, again where they changed."""
        joins = []
        made = made_folder(self.name)
        lists = {role: read_clip_list(path) for role, path in role_files(self.place.annotations).items()}
        prefix = shared_prefix(lists.values())
        for row in {row.file: row for each in lists.values() for row in each.rows}.values():
            key = key_of(row.file, prefix)
            if _is_folder(row):
                folder = self.place.videos / key_of(row.listed, prefix)
                joins.append(Join(folder, made / f"{key}.mp4", count=row.frames, skipped=row.offset or 0))
        self.unmade = make_clips(joins, self.name)
        super().prepare()

    def _refs(
        self, listed: ClipList, prefix: str, classes: tuple[str, ...], hidden: bool
    ) -> tuple[ClipRef, ...]:
        files, made = Folder(self.place.videos), made_folder(self.name)
        found: dict[str, ClipRef] = {}
        positions = {name: place for place, name in enumerate(classes)}
        for row in listed.rows:
            where = f"{listed.path}:{row.number}"
            key = key_of(row.file, prefix)
            if key in found:
                raise UserError(f"{where}: '{row.file}' is named twice; remove one of them.")
            path = made / f"{key}.mp4" if _is_folder(row) else files.find(key)
            found[key] = ClipRef(
                key, path, _label(row, positions, where, hidden), source_of(key_of(row.listed, prefix))
            )
        return tuple(found.values())


def role_files(folder: Path) -> dict[str, Path]:
    """The list of each role in a folder.

    Raises:
        UserError: the folder does not exist, or has two lists for one role.
    """
    found: dict[str, list[Path]] = {}
    for path in list_files(folder):
        if role := role_of(path.stem):
            found.setdefault(role, []).append(path)
    for role, paths in found.items():
        exact = [path for path in paths if path.stem.lower() in NAMES[role]]
        if len(exact or paths) > 1:
            names = " and ".join(f"'{path.name}'" for path in (exact or paths)[:2])
            raise UserError(f"{folder} has two {role} lists, {names}; keep one of them.")
        found[role] = exact or paths
    return {role: paths[0] for role, paths in found.items()}


def list_files(folder: Path) -> list[Path]:
    """The files of a folder that may be lists.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in LIST_SUFFIXES)
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be read ({error.strerror}); give the right one."
        ) from error


def role_of(stem: str) -> str | None:
    """The role that the name of a list says, in any of its words."""
    words = set(re.split(r"[^a-z]+", stem.lower()))
    if found := next((role for word, role in MISSPELLED.items() if word in words), None):
        return found
    # "unlabeled_train" is unlabeled: the roles are asked in this order.
    order = ("unlabeled", "validation", "test", "train")
    return next((role for role in order if words & set(NAMES[role])), None)


def shared_prefix(lists: Iterable[ClipList]) -> str:
    """The folders that all listed files share, with a slash at the end; empty where they share none."""
    parents = {row.file.rpartition("/")[0] for each in lists for row in each.rows}
    if not parents or len({path.startswith("/") for path in parents}) > 1:
        return ""
    shared = os.path.commonpath(parents)
    return f"{shared.rstrip('/')}/" if shared else ""


def key_of(file: str, prefix: str) -> str:
    """The key of a listed file: a path that stays below any root."""
    words = file.removeprefix(prefix).split("/")
    return "/".join(word for word in words if word not in {"", ".", ".."})


def class_names(lists: Mapping[str, ClipList]) -> tuple[str, ...]:
    """The classes of some lists: all numbers up to the highest of any list, or the names of training.

    Raises:
        UserError: for a number that can be no class.
    """
    labels = {role: {row.label for row in each.rows} - {None, str(UNKNOWN)} for role, each in lists.items()}
    every = {label for each in labels.values() for label in each if label is not None}
    if all(_INTEGER.fullmatch(label) for label in every):
        last = max((int(label) for label in every), default=0)
        if last >= MOST_CLASSES:
            raise _no_class(lists, str(last))
        return tuple(str(number) for number in range(1 + last))
    return tuple(sorted(label for label in labels["train"] if label is not None))


def _no_class(lists: Mapping[str, ClipList], label: str) -> UserError:
    places = (
        f"{each.path}:{row.number}" for each in lists.values() for row in each.rows if row.label == label
    )
    return UserError(
        f"{next(places, 'a list')}: the label {label} is no class number (they count from 0, and "
        f"{MOST_CLASSES:,} are the most); mend the list."
    )


def pin(folder: Path) -> dict[str, str]:
    """SHA-256 of each list of a folder, written beside them."""
    pins = {path.name: _sha256(path) for path in list_files(folder)}
    (folder / PINS).write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")
    return pins


def check_pins(folder: Path) -> None:
    """That pinned lists are what they were.

    Raises:
        UserError: one has changed or is gone.
    """
    if not (folder / PINS).is_file():
        return
    for name, digest in dict(read_json(folder / PINS)).items():
        path = folder / name
        if not path.is_file() or _sha256(path) != digest:
            state = "has changed" if path.is_file() else "is gone"
            raise UserError(f"the pinned list {path} {state} since it was imported; import the lists again.")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_folder(row: ListRow) -> bool:
    return row.frames is not None and not SUFFIX.search(row.file)


def _label(row: ListRow, positions: Mapping[str, int], where: str, hidden: bool) -> int:
    if row.label is None or row.label == str(UNKNOWN):
        if hidden:
            return UNKNOWN
        raise UserError(f"{where}: '{row.file}' has no label; write 'path label'.")
    if row.label.startswith("-") and _INTEGER.fullmatch(row.label):
        raise UserError(f"{where}: the label {row.label} is negative; class numbers start from 0.")
    label = str(int(row.label)) if _INTEGER.fullmatch(row.label) and row.label not in positions else row.label
    if label not in positions:
        raise no_class("class of the training list", row.label, positions, where, "mend the label")
    return positions[label]
