"""What is wrong with published lists: names, forms, labels against folders, fractions that do not nest."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from datasets.audit import AuditFinding, audit_table, finding
from datasets.list_folder import (
    MISSPELLED,
    class_names,
    key_of,
    list_files,
    role_files,
    shared_prefix,
)
from datasets.list_lines import ClipList, read_clip_list
from datasets.source_names import SUFFIX, source_of
from datasets.types import UNKNOWN, ClipRef, ClipTable

_RATE = re.compile(r"(?P<family>.+?)_?(?P<rate>\d+)")


@dataclass(frozen=True)
class PublishedLists:
    """The lists of one folder by role."""

    folder: Path
    lists: Mapping[str, ClipList]

    @cached_property
    def table(self) -> ClipTable:
        """The clips by role, unchecked: files as named, labels as written, unknown ones as such."""
        prefix = shared_prefix(self.lists.values())
        classes = class_names(self.lists)
        places = {name: place for place, name in enumerate(classes)}

        def refs(role: str) -> tuple[ClipRef, ...]:
            if role not in self.lists:
                return ()
            keys = [(key_of(row.file, prefix), row) for row in self.lists[role].rows]
            return tuple(
                ClipRef(
                    key,
                    Path(key),
                    places.get(_plain(row.label), UNKNOWN),
                    source_of(key_of(row.listed, prefix)),  # spans of one folder are of one source
                )
                for key, row in keys
            )

        return ClipTable(
            name=self.folder.name,
            classes=classes,
            train=refs("train"),
            test=refs("test") or refs("validation"),
            validation=refs("validation") if "test" in self.lists else (),
            unlabeled=refs("unlabeled") if "unlabeled" in self.lists else None,
        )


def _plain(label: str | None) -> str:
    return str(int(label)) if label is not None and label.isdigit() else str(label)


def list_folders(folder: Path) -> list[Path]:
    """The folder and those below it that have a training list."""
    below = sorted(path for path in folder.rglob("*") if path.is_dir())
    return [each for each in (folder, *below) if "train" in role_files(each)]


def read_published(folder: Path) -> PublishedLists:
    """The lists of a folder.

    Raises:
        UserError: a list has a mistake; names file and line.
    """
    return PublishedLists(folder, {role: read_clip_list(path) for role, path in role_files(folder).items()})


def audit_lists(published: PublishedLists) -> list[AuditFinding]:
    """Findings about one folder of lists."""
    return [
        *audit_table(published.table),
        *_names(published),
        *_forms(published),
        *_doubles(published),
        *_conflicts(published),
        *_folders(published),
    ]


def audit_family(folders: Sequence[PublishedLists]) -> list[AuditFinding]:
    """Findings about several folders: fractions that do not nest, training clips that others score."""
    families: dict[str, list[tuple[int, PublishedLists]]] = defaultdict(list)
    for each in folders:
        match = _RATE.fullmatch(each.folder.name)
        family, rate = (match["family"], int(match["rate"])) if match else (each.folder.name, 0)
        families[family].append((rate, each))
    for members in families.values():
        members.sort(key=lambda member: member[0])
    return [
        *(found for members in families.values() for found in _nesting([each for _, each in members])),
        *_crossing([members[0][1] for members in families.values()]),
    ]


def compare_official(published: PublishedLists, official: ClipTable) -> list[AuditFinding]:
    """Where the lists deviate from the official parts of the data set that they were drawn from.

    Labels are compared as numbers, so only where both have as many classes.
    """
    parts = {
        "train and unlabeled": (_stems(_trained(published.table)), _stems(official.train)),
        "test": (_stems(published.table.test), _stems(official.test)),
    }
    found = []
    for role, (ours, theirs) in parts.items():
        if more := sorted(set(ours) - set(theirs)):
            sentence = (
                f"{len(more)} clips of {role} are not in the official part of data set '{official.name}'"
            )
            found.append(finding("flaw", "not official", more, sentence))
        if fewer := sorted(set(theirs) - set(ours)):
            sentence = f"{len(fewer)} clips of the official part of '{official.name}' are not in {role}"
            found.append(finding("note", "left out", fewer, sentence))
        if len(official.classes) == len(published.table.classes):
            wrong = [stem for stem in ours if stem in theirs and ours[stem] not in (theirs[stem], UNKNOWN)]
            if wrong:
                sentence = f"{len(wrong)} labels of {role} are not the official ones of '{official.name}'"
                found.append(finding("flaw", "labels not official", sorted(wrong), sentence))
    return found


def folder_of(file: str) -> str:
    """The name of the folder of a listed file."""
    return file.rpartition("/")[0].rpartition("/")[2]


def _trained(table: ClipTable) -> tuple[ClipRef, ...]:
    return (*table.train, *(table.unlabeled or ()))


def _stems(clips: Sequence[ClipRef]) -> dict[str, int]:
    return {SUFFIX.sub("", clip.key.rpartition("/")[2]): clip.label for clip in clips}


def _names(published: PublishedLists) -> Iterator[AuditFinding]:
    for role, each in published.lists.items():
        words = set(re.split(r"[^a-z]+", each.path.stem.lower()))
        if words & set(MISSPELLED):
            right = f"{role.removesuffix('ed')}{each.path.suffix}"
            sentence = f"the {role} list is called '{each.path.name}'; a loader looks for '{right}'"
            yield finding("flaw", "wrong list name", [each.path.name], sentence)
    used = {each.path for each in published.lists.values()}
    for path in list_files(published.folder):
        if path not in used:
            yield finding(
                "note",
                "extra list",
                [path.name],
                f"'{path.name}' is the list of no role{_same(path, published)}",
            )


def _same(path: Path, published: PublishedLists) -> str:
    """Which roles an extra list repeats, in words."""
    names = sorted(row.name for row in read_clip_list(path).rows)
    for roles in (("train", "validation"), ("train", "test"), ("train", "unlabeled")):
        if all(role in published.lists for role in roles):
            joined = sorted(row.name for role in roles for row in published.lists[role].rows)
            if names == joined:
                return f": it has the clips of {roles[0]} and {roles[1]}"
    return ""


def _forms(published: PublishedLists) -> Iterator[AuditFinding]:
    lists = published.lists
    separators = {role: each.separator for role, each in lists.items()}
    if len(set(separators.values())) > 1:
        words = {" ": "spaces", ",": "commas", "\t": "tabs"}
        said = [f"{lists[role].path.name}: {words[each]}" for role, each in separators.items()]
        sentence = f"the lists separate their columns differently ({', '.join(said)})"
        yield finding("note", "separators", said, sentence)
    if crlf := [each.path.name for each in lists.values() if each.crlf]:
        yield finding("note", "CRLF", crlf, f"lines end in CRLF in {', '.join(crlf)}")
    if cut := [each.path.name for each in lists.values() if not each.ended]:
        yield finding("note", "last newline", cut, f"the last line has no end in {', '.join(cut)}")


def _doubles(published: PublishedLists) -> Iterator[AuditFinding]:
    for role, each in published.lists.items():
        counts = Counter(row.name for row in each.rows)
        if twice := sorted(name for name, count in counts.items() if count > 1):
            sentence = f"{len(twice)} file names are in {each.path.name} more than once, in several folders"
            yield finding("flaw", f"duplicate names in {role}", twice, sentence)


def _conflicts(published: PublishedLists) -> Iterator[AuditFinding]:
    labels: dict[str, set[str]] = defaultdict(set)
    for each in published.lists.values():
        for row in each.rows:
            if row.label not in (None, str(UNKNOWN)):
                labels[row.file].add(_plain(row.label))
    if wrong := sorted(file for file, found in labels.items() if len(found) > 1):
        yield finding(
            "flaw", "two labels", wrong, f"{len(wrong)} clips have different labels in different lists"
        )


def _folders(published: PublishedLists) -> Iterator[AuditFinding]:
    """Labels that are not those of most clips in the same folder, where folders are classes at all."""
    rows = {
        row.file: _plain(row.label) for each in published.lists.values() for row in each.rows if row.label
    }
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for file, label in rows.items():
        folders[folder_of(file)][label] += 1
    usual = {folder: counts.most_common(1)[0][0] for folder, counts in folders.items()}
    # Folders are classes where nearly each has a label of its own; all clips in one folder say nothing.
    if len(usual) < 2 or len(set(usual.values())) * 2 <= len(usual):
        return
    wrong = [file for file, label in rows.items() if label != usual[folder_of(file)]]
    if wrong and len(wrong) * 5 < len(rows):
        where = sorted({folder_of(file) for file in wrong})
        sentence = (
            f"{len(wrong)} labels contradict the folder of their clip (folders "
            f"{', '.join(where[:6])}{', ...' if len(where) > 6 else ''})"
        )
        yield finding("flaw", "labels contradict folders", sorted(wrong), sentence)


def _nesting(members: Sequence[PublishedLists]) -> Iterator[AuditFinding]:
    for lower, higher in itertools.pairwise(members):
        small, large = ({row.name for row in each.lists["train"].rows} for each in (lower, higher))
        if outside := sorted(small - large):
            sentence = (
                f"fractions do not nest: {len(outside)} of the {len(small)} labeled clips of "
                f"{lower.folder.name} are not labeled in {higher.folder.name}"
            )
            yield finding("flaw", "not nested", outside, sentence)


def _crossing(members: Sequence[PublishedLists]) -> Iterator[AuditFinding]:
    for trained in members:
        seen = {clip.key.rpartition("/")[2] for clip in _trained(trained.table)}
        for tested in members:
            if tested is trained:
                continue
            names = [clip.key.rpartition("/")[2] for clip in tested.table.test]
            if both := sorted(set(names) & seen):
                sentence = (
                    f"{len(both)} training clips of {trained.folder.name} are test clips of "
                    f"{tested.folder.name}: do not train on one and test on the other"
                )
                yield finding("note", "crossing", both, sentence)
