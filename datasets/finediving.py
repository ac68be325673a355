"""FineDiving (Xu et al., CVPR 2022): competition dives in 52 action types, with their steps.

The annotations are pickles (read by `datasets.safe_pickle`): a coarse one (type and frames of each dive),
a fine one (a step for each frame), and the official split.  Dives are folders of pictures,
`<competition>/<index>/%05d.jpg`, named by frame number; they are joined into video files once.

Three sets are made of them.  `finediving` classifies the 52 types.  `finediving_10m` keeps the dives whose
competition says `10m`; 15 competitions have numbers for names, which tell no height, and are left out.
`finediving_5253b` has one type only, so there is nothing to classify but its *steps*: each run of frames
of one step is a clip, its class the step (`Back`, `1.5 Twists`, `2.5 Soms.Pike`, `Entry`, ...).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from datasets.annotated import AnnotatedSet
from datasets.clip_making import Join, frame_files, made_folder, make_clips
from datasets.errors import UserError
from datasets.safe_pickle import load_plain
from datasets.types import ClipRef, ClipTable

Dive = tuple[str, int]
"""(competition, index in it)"""

HEIGHT = "10m"
STEPPED = "5253b"


class _Clip(NamedTuple):
    """A clip to be: its key, class name, source, and which pictures of which dive it shows."""

    key: str
    name: str
    dive: Dive
    first: int | None
    frames: int | None


@contextmanager
def _understood(path: Path, dive: Dive, field: str) -> Iterator[None]:
    """Names file, dive and field where what is read of it has another shape."""
    try:
        yield
    except KeyError as error:
        raise UserError(f"{path}: dive {dive} has no '{field}'; fetch the file again.") from error
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: '{field}' of dive {dive} is not understood; fetch the file again."
        ) from error


class FineDiving(AnnotatedSet):
    """FineDiving by action type, or one type by its steps."""

    formats: ClassVar[Mapping[str, str]] = {
        "finediving": "FineDiving, 52 action types, the official split",
        "finediving_10m": "FineDiving, dives whose competition is named as 10 m",
        "finediving_5253b": "FineDiving, the steps of dive 5253B",
    }
    origin: ClassVar[str] = "the FineDiving project (its authors ask for a signed release agreement)"

    def read(self) -> ClipTable:
        """The official split; classes are all types of the annotations, or the steps that training has."""
        coarse = self._pickle("FineDiving_coarse_annotation.pkl")
        stepped = self.place.format == "finediving_5253b"
        make = self._steps if stepped else self._whole
        train = list(make(coarse, self._split("train_split.pkl")))
        test = list(make(coarse, self._split("test_split.pkl")))
        if self.place.format != "finediving":  # a class that only the test has cannot be learned
            names = sorted({clip.name for clip in train})
            test = [clip for clip in test if clip.name in names]
        else:
            names = sorted({str(row["action_type"]) for row in coarse.values()})
        return ClipTable(
            name=self.name,
            classes=tuple(names),
            train=self._refs(train, names),
            test=self._refs(test, names),
            mirror=True,  # types tell direction, somersaults, twists and position, not left or right
        )

    def prepare(self) -> None:
        """Joins the pictures of the dives that are no video files yet, or whose pictures have changed."""
        self.unmade = make_clips(self._joins(), self.name)
        super().prepare()

    def _pickle(self, name: str) -> dict[Dive, dict[str, Any]]:
        path = self.annotation(name)
        found = load_plain(path)
        fields = {"action_type"}
        if not isinstance(found, dict) or not all(
            isinstance(row, dict) and fields <= set(row) for row in found.values()
        ):
            raise UserError(f"{path}: expected a dict of dives with 'action_type'; fetch the file again.")
        return found

    def _split(self, name: str) -> list[Dive]:
        path = self.annotation(name)
        found = load_plain(path)
        if not isinstance(found, list) or not all(isinstance(x, tuple) and len(x) == 2 for x in found):
            raise UserError(f"{path}: expected a list of (competition, index); fetch the file again.")
        for place, (_, index) in enumerate(found, start=1):
            if not str(index).isdecimal():
                raise UserError(
                    f"{path}: entry {place}: the index {index!r} of a dive is no number; fetch the file "
                    "again."
                )
        dives = [(str(competition), int(index)) for competition, index in found]
        if len(set(dives)) != len(dives):
            twice = next(dive for dive in dives if dives.count(dive) > 1)
            raise UserError(f"{path}: dive {twice} is there twice; fetch the file again.")
        return dives

    def _whole(self, coarse: Mapping[Dive, dict[str, Any]], dives: list[Dive]) -> Iterator[_Clip]:
        for dive in dives:
            if self.place.format == "finediving_10m" and HEIGHT not in dive[0]:
                continue
            yield _Clip(
                f"{dive[0]}/{dive[1]}.mp4", str(self._row(coarse, dive)["action_type"]), dive, None, None
            )

    def _steps(self, coarse: Mapping[Dive, dict[str, Any]], dives: list[Dive]) -> Iterator[_Clip]:
        files = [f"FineDiving_{kind}_annotation.pkl" for kind in ("coarse", "fine-grained")]
        (first, second), fine = map(self.annotation, files), self._pickle(files[1])
        for dive in dives:
            if str(self._row(coarse, dive)["action_type"]).lower() != STEPPED:
                continue
            row, place = self._row(fine, dive), 0
            with _understood(first, dive, "start_frame"):
                start = int(coarse[dive]["start_frame"])
            with _understood(second, dive, "sub-action_types"):
                names = {int(number): str(name) for number, name in row["sub-action_types"].items()}
            with _understood(second, dive, "frames_labels"):
                labels = [int(label) for label in row["frames_labels"]]
            runs = itertools.groupby(labels)
            for order, (label, frames) in enumerate(runs):
                count = len(list(frames))
                if label in names:
                    key = f"{dive[0]}/{dive[1]}_step{order}.mp4"
                    yield _Clip(key, names[label], dive, start + place, count)
                place += count

    def _row(self, rows: Mapping[Dive, dict[str, Any]], dive: Dive) -> dict[str, Any]:
        if dive not in rows:
            raise UserError(
                f"{self.place.annotations}: the split names dive {dive}, the annotations do not; fetch "
                "split and annotations of one release."
            )
        return rows[dive]

    def _refs(self, clips: list[_Clip], names: list[str]) -> tuple[ClipRef, ...]:
        return tuple(
            ClipRef(clip.key, self._path(clip.key), names.index(clip.name), group=clip.dive[0])
            for clip in clips
        )

    def _path(self, key: str) -> Path:
        """A video file that somebody made already, or the one that `prepare` will make."""
        given = self.place.videos / key
        return given if given.is_file() else made_folder(self.name) / key

    def _joins(self) -> Iterator[Join]:
        coarse = self._pickle("FineDiving_coarse_annotation.pkl")
        make = self._steps if self.place.format == "finediving_5253b" else self._whole
        wanted = {clip.key for clip in self.table().clips()}
        for clip in make(coarse, [*self._split("train_split.pkl"), *self._split("test_split.pkl")]):
            path = self._path(clip.key)
            if clip.key in wanted and path != self.place.videos / clip.key:
                yield Join(self._pictures(clip.dive), path, clip.first, clip.frames)

    def _pictures(self, dive: Dive) -> Path:
        roots = (self.place.videos, self.place.videos / "FineDiving")
        folders = [root / dive[0] / str(dive[1]) for root in roots]
        return next((folder for folder in folders if folder.is_dir() and frame_files(folder)), folders[0])
