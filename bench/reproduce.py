"""A stored trial run again: the same bits on the same machine and versions, within a tolerance elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.predictions import read_predictions
from bench.schema import stored_spec
from bench.store import DONE, PREDICTIONS, TrialFolder, read_json
from bench.trial import Manner, run_trial
from datasets.errors import UserError

TOLERANCE = 0.05
"""Largest difference of top-1 accuracy where bits cannot be asked for: other machines round otherwise."""

NOT_DECIDING = ("sefar_bench",)
"""Versions that may differ between equal bits: what of ours decides is in the code's hash."""


@dataclass(frozen=True)
class Comparison:
    """A stored trial and its repetition.

    Attributes:
        differences: of machine, versions, code and content, as "name: stored -> now"; without any, bits
            must agree.
        identical: whether all predictions and metrics agree bit for bit.
        changed: clips whose predicted class differs, of `clips`.
        top1: stored and repeated accuracy.
        tolerance: the largest difference of the two that counts as the same elsewhere.
    """

    differences: tuple[str, ...]
    identical: bool
    changed: int
    clips: int
    top1: tuple[float, float]
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the repetition confirms the stored trial."""
        if not self.differences:
            return self.identical
        return abs(self.top1[0] - self.top1[1]) <= self.tolerance


def find_trial(name: str, out: Path) -> TrialFolder:
    """The folder of a finished trial.

    Args:
        name: a trial's folder, a file in it, or an id that is looked for in all suites of `out`.
        out: folder of all runs.

    Raises:
        UserError: when there is none, or it has no whole record.
    """
    path = Path(name)
    if path.is_file():
        path = path.parent
    if not path.is_dir():
        found = sorted(out.glob(f"*/trials/{name}/")) if name.isalnum() else []
        if not found:
            raise UserError(
                f"there is no trial '{name}' in {out}; name its folder, or its id and the runs with --out."
            )
        path = found[0]
    folder = TrialFolder(path)
    if folder.done() is None:
        failed = folder.failed()
        what = f"failed ({failed.get('kind')})" if failed else "has no whole record"
        raise UserError(f"{path}: the trial {what}, so there is nothing to compare with; run it first.")
    return folder


def reproduce(stored: TrialFolder, target: Path, tolerance: float = TOLERANCE) -> Comparison:
    """Runs a stored specification again and compares.

    Args:
        stored: a finished trial.
        target: folder for the repetition.
        tolerance: see `Comparison`.

    Raises:
        UserError: when the specification cannot be run here, or its repetition fails.
    """
    before = stored.done() or {}
    spec = stored_spec(before.get("spec"), stored.path / DONE)
    folder = TrialFolder(target / spec.id)
    now = run_trial(spec, folder, Manner(resume=False))
    if now["status"] != "done":
        raise UserError(f"trial {spec.id} fails here ({now['kind']}): {now['message']}")
    return compare(stored, folder, read_json(stored.path / DONE), now, tolerance)


def compare(
    stored: TrialFolder,
    repeated: TrialFolder,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    tolerance: float = TOLERANCE,
) -> Comparison:
    """The comparison of two finished trials of one specification, from their records and predictions."""
    first, second = (read_predictions(each.path / PREDICTIONS) for each in (stored, repeated))
    one = dict(zip(first.clips, first.predicted.tolist(), strict=True))
    other = dict(zip(second.clips, second.predicted.tolist(), strict=True))
    bytes_agree = (stored.path / PREDICTIONS).read_bytes() == (repeated.path / PREDICTIONS).read_bytes()
    # As text, since NaN is not equal to itself.
    metrics_agree = str(sorted(before["metrics"].items())) == str(sorted(now["metrics"].items()))
    return Comparison(
        differences=tuple(_differences(before, now)),
        identical=bytes_agree and metrics_agree,
        changed=sum(one.get(clip) != other.get(clip) for clip in one.keys() | other.keys()),
        clips=len(one),
        top1=(float(before["metrics"]["top1"]), float(now["metrics"]["top1"])),
        tolerance=tolerance,
    )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of that on which bits depend is not as it was."""
    old, new = (dict(record.get("environment", {})) for record in (before, now))
    for name in ("code_hash", "data_hash"):
        old[name], new[name] = before.get(name), now.get(name)
    names = [name for name in dict.fromkeys([*old, *new]) if name not in NOT_DECIDING]
    return [f"{n}: {old.get(n)} -> {new.get(n)}" for n in names if old.get(n) != new.get(n)]


def report_lines(found: Comparison) -> list[str]:
    """The comparison for people."""
    top1 = f"top1 {100 * found.top1[0]:.2f} -> {100 * found.top1[1]:.2f}"
    if found.identical:
        lines = [f"identical bit for bit: {found.clips} predictions, {top1}"]
    else:
        lines = [f"{found.changed} of {found.clips} predictions differ, {top1}"]
    if not found.differences:
        lines.append("same machine, versions, code and content, so all bits must agree")
    else:
        lines.append(f"bits cannot be asked for, since these differ: {'; '.join(found.differences)}")
        lines.append(f"so accuracy must agree within {100 * found.tolerance:g} points")
    lines.append("reproduced" if found.agrees else "NOT reproduced")
    return lines
