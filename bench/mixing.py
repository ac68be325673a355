"""Whether records belong together: versions of code and software, and what a suite fixes for all.

Nothing here refuses: what differs is said, in sentences, wherever the records are shown together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.records import Record
from bench.spec import Protocol

ALLOWED = ("batch.labeled", "batch.warmup", "optimizer.lr", "optimizer.weight_decay", "augmentations.labeled")
WARNING = "Warning: "
"""How a sentence begins that a reader must see before believing any number."""
SOFTWARE = ("sefar_bench", "torch")


def mixtures(records: Sequence[Record]) -> list[str]:
    """One sentence for everything in which records of one board differ and should not."""
    done = [record for record in records if record.done]
    return [*_code(done), *_content(done), *_protocols(done), *_software(done), *_devices(done)]


def _code(records: Iterable[Record]) -> list[str]:
    """Methods whose trials were run by different code."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        key = f"{record.spec.method} on {record.spec.backbone.name}"
        found[key].add(str(record.done.get("code_hash", "unknown")))
    mixed = [key for key, hashes in sorted(found.items()) if len(hashes) > 1]
    if not mixed:
        return []
    return [
        f"{WARNING}trials of {', '.join(mixed)} were run by different versions of the code; their numbers "
        "may not belong together. Run again with --stale redo."
    ]


def _content(records: Iterable[Record]) -> list[str]:
    """Splits whose trials saw other frames; records of before there was a `data_hash` count as any."""
    found: dict[tuple[str, int | None, str], set[str]] = defaultdict(set)
    for record in records:
        seen = record.done.get("data_hash")
        if seen is not None:
            found[record.spec.data, record.spec.protocol.short_side, record.spec.split_hash].add(str(seen))
    mixed = sorted({data for (data, _, _), hashes in found.items() if len(hashes) > 1})
    if not mixed:
        return []
    return [
        f"{WARNING}trials on {', '.join(mixed)} saw different frames: videos, their decoder or the cache "
        "have changed between them. Run the older ones again into another folder with --out."
    ]


def _protocols(records: Sequence[Record]) -> list[str]:
    """Settings that a suite fixes for all entries, and that differ all the same."""
    distinct: dict[str, tuple[Protocol, str]] = {}
    for record in records:
        distinct.setdefault(record.spec.protocol.compact, (record.spec.protocol, record.planned.entry))
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    for protocol, entry in distinct.values():
        for name, value in _flat(protocol.model_dump(mode="json")).items():
            if not any(name == own or name.startswith(f"{own}.") for own in ALLOWED):
                seen[name].setdefault(str(value), entry)
    return [
        f"{WARNING}trials of different protocols: '{name}' is "
        + " but ".join(f"{value} ({entry})" for value, entry in values.items())
        + ". Their difference may be the protocol's; plan and run again with one suite."
        for name, values in seen.items()
        if len(values) > 1
    ]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            found.update(_flat(item, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = item
    return found


def _software(records: Sequence[Record]) -> list[str]:
    said = []
    for name in SOFTWARE:
        versions = {str(r.done.get("environment", {}).get(name, "unknown")) for r in records}
        if len(versions) > 1:
            shown = name.replace("_", "-")
            said.append(f"Trials were run with different versions of {shown}: {', '.join(sorted(versions))}.")
    return said


def _devices(records: Sequence[Record]) -> list[str]:
    devices = {record.spec.device for record in records}
    if len(devices) < 2:
        return []
    return [
        f"Trials were run on different devices ({', '.join(sorted(devices))}): results differ by rounding."
    ]
