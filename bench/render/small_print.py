"""The footer of a section: what was claimed, how it was tested, and what exactly was run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

from bench.board import Board
from bench.records import Record
from bench.render.words import cell_name, count, listing, ranges, title
from bench.spec import Protocol
from bench.suite import LoadedSuite, Tuned, parse_seeds

OBJECTION = "Oliver et al., Realistic Evaluation of Deep Semi-Supervised Learning Algorithms, NeurIPS 2018"
STATISTICS = ("numpy", "scipy", "statsmodels")
"""Libraries whose versions stand behind the tests."""


def small_print(boards: Sequence[Board], loaded: LoadedSuite) -> list[tuple[str, str]]:
    """(what, text) for the boards of one section."""
    suite = loaded.suite
    finished = [r for board in boards for row in board.rows for r in row.records if r.done]
    return [
        (
            "Claim",
            "“this method on this data set”: would the difference show again with new seeds and new clips? "
            "Not: on other data sets, with other settings.",
        ),
        (
            "Test",
            "two-way paired t over crossed seeds and test clips, the seed variance of each pair moderated "
            f"towards the board's mean; {_clusters(boards)}. Intervals are 95 % t intervals of one "
            "comparison each, not adjusted for their number.",
        ),
        ("Families", _families(boards)),
        (
            "Significant",
            f"adjusted p ≤ α = {suite.alpha:g}. Correction: Holm within each family. Region of practical "
            f"equivalence: ±{suite.equivalence_points:g} points (90 % interval inside it).",
        ),
        ("Effort", effort(boards, loaded)),
        *_protocol(finished),
        ("Steps", _per_board(boards, _steps)),
        ("Seeds", _per_board(boards, _seeds)),
        ("Splits", _per_board(boards, _splits)),
        *_what_ran(finished),
    ]


def effort(boards: Sequence[Board], loaded: LoadedSuite) -> str:
    """How much tuning stands behind the rows, and whether it was equal."""
    own = {board.section: loaded.tuned_in(board.section) for board in boards}
    tuned = next((search for search in own.values() if search is not None), None)
    if tuned is None:
        return "no entry was tuned: every row has the settings of the suite's file."
    mine = [board for board in boards if own[board.section] is not None]
    said = (
        f"tuned: {count(tuned.configurations, 'configuration')} each, on validation clips of "
        f"{listing([cell_name(cell) for cell in tuned.cells])} with {_seeds_of(tuned.seeds)}, "
        f"{_used_again(mine, tuned)} (search {tuned.run_hash}); test clips had no part in it. Trials are "
        f"equal in number, compute is not: the time of each is in the tables.{_few_labels(mine, tuned)}"
    )
    if others := [name for name, search in own.items() if search is None]:
        said += f" Not of section {listing(others)}, where no entry was tuned."
    labels = dict.fromkeys(row.entry.label for board in mine for row in board.ranked)
    without = [label for label in labels if label not in tuned.entries]
    if without:
        said += f" Not tuned, so not of equal effort: {listing(without)}."
    return said


def _used_again(boards: Sequence[Board], tuned: Tuned) -> str:
    """Whether seeds of the search trained rows of a board, too: those have seen their own choice."""
    used = {r.planned.seed for board in boards for row in board.ranked for r in row.records}
    shared = sorted(used & set(parse_seeds(tuned.seeds)))
    if not shared:
        return "which no board uses"
    return f"of which the boards use {listing([str(seed) for seed in shared])}, too"


def _few_labels(boards: Sequence[Board], tuned: Tuned) -> str:
    """How many validation clips chose, beside the labels of a trial, and the objection to it."""
    if not tuned.validation_clips:
        return ""
    done = [(board.cell, r.done) for board in boards for row in board.ranked for r in row.records if r.done]
    parts = []
    for cell, clips in tuned.validation_clips.items():
        labels = sorted({record["labeled"] for mine, record in done if mine == cell and "labeled" in record})
        beside = f" beside {listing([f'{n:,}' for n in labels])} labels" if labels else ""
        parts.append(f"{clips:,}{beside} on {cell_name(cell)}")
    return (
        f" Validation clips that chose, on {count(len(parse_seeds(tuned.seeds)), 'seed')}: {listing(parts)}. "
        "Who has few labels has no such set to choose on, and a smaller one chooses less surely "
        f"({OBJECTION}); the choice holds for every board."
    )


def _seeds_of(seeds: str) -> str:
    return f"seed {seeds}" if seeds.isdigit() else f"seeds {seeds}"


def _clusters(boards: Sequence[Board]) -> str:
    grouped = [board for board in boards if board.scored is not None and board.scored.clusters]
    if not grouped:
        return "every clip is of a source video of its own"
    parts = [f"{len(set(board.scored.groups)):,} on {board.data}" for board in grouped if board.scored]
    return f"clips of one source video are one cluster ({listing(list(dict.fromkeys(parts)))})"


def _families(boards: Sequence[Board]) -> str:
    def sizes(board: Board) -> str:
        if board.families is None or not board.tested:
            return "nothing tested"
        b, a = len(board.families.against_baseline), len(board.families.pairs)
        return f"B {count(b, 'test')}, A {count(a, 'test')}"

    return (
        "B, every entry against the baseline; A, all pairs (decides ranks, groups and bold). "
        "Bounds and references are in neither. " + _per_board(boards, sizes)
    )


def _per_board(boards: Sequence[Board], say: Callable[[Board], str]) -> str:
    """One statement where all boards agree, else one for each."""
    said = {title(board): say(board) for board in boards}
    if len(set(said.values())) == 1:
        return f"{next(iter(said.values()))}."
    return "; ".join(f"{name}: {text}" for name, text in said.items()) + "."


def _protocol(records: Sequence[Record]) -> list[tuple[str, str]]:
    if not records:
        return []

    def each(read: Callable[[Protocol], str]) -> str:
        return _by_entry(records, lambda record: read(record.spec.protocol))

    return [
        ("Checkpoint", each(lambda p: _CHECKPOINT[p.checkpoint])),
        ("Evaluated model", each(_evaluated)),
        ("Test views", each(_looks)),
        ("Labeled augmentation", each(labeled_augmentation)),
        ("Batches", each(_batches)),
        *_frames(records),
    ]


def _frames(records: Sequence[Record]) -> list[tuple[str, str]]:
    """How much of a clip a net is shown; nothing where no record says so."""
    known = [record for record in records if record.view_frames is not None]
    if not known:
        return []
    said = _by_entry(known, lambda record: f"{record.view_frames} of a clip in a view, over all levels")
    return [("Frames", said)]


_CHECKPOINT = {"final": "the final step", "best_validation": "the best on validation clips"}


def _by_entry(records: Sequence[Record], read: Callable[[Record], str]) -> str:
    """What most trials have, and which entries differ."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        found.setdefault(read(record), {})[record.planned.entry] = None
    usual = max(found, key=lambda text: len(found[text]))
    others = [f"{listing(list(found[text]))}: {text}" for text in found if text != usual]
    return f"{'; '.join([usual, *others])}."


def _evaluated(protocol: Protocol) -> str:
    model = protocol.evaluation
    return f"average of the weights (EMA, decay {model.decay:g})" if model.model == "ema" else "the student"


def _looks(protocol: Protocol) -> str:
    views, crops = protocol.evaluation.views, protocol.evaluation.crops
    if views * crops == 1:
        return "one deterministic view of a clip"
    drawn = f"{count(views, 'draw')} of frames (the first one deterministic)"
    return f"{drawn} x {count(crops, 'crop')} of a clip, probabilities averaged"


def labeled_augmentation(protocol: Protocol) -> str:
    """The name of the policy that equals `labeled`, if there is one."""
    mine = protocol.augmentations["labeled"]
    same = [n for n, policy in protocol.augmentations.items() if n != "labeled" and policy == mine]
    return f"“{same[0]}”" if same else "“labeled”, the suite's own"


def _batches(protocol: Protocol) -> str:
    batch = protocol.batch
    times = f", accumulated {batch.accumulate} times" if batch.accumulate > 1 else ""
    return f"{batch.labeled} labeled + {batch.unlabeled} unlabeled clips{times}"


def _seeds(board: Board) -> str:
    return ranges(board.seeds)


def _steps(board: Board) -> str:
    steps = sorted({record.spec.protocol.steps for row in board.rows for record in row.records})
    return listing([f"{n:,}" for n in steps]) or "none"


def _splits(board: Board) -> str:
    hashes: dict[str, list[int]] = {}
    for row in (*board.ranked, *board.unranked):
        for record in row.records:
            known = hashes.setdefault(record.spec.split_hash[:12], [])
            if record.planned.seed not in known:
                known.append(record.planned.seed)
    return ", ".join(f"{found} (seed {ranges(seeds)})" for found, seeds in hashes.items()) or "none"


def _what_ran(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Code, libraries and machines; nothing where no trial counts, as in a run with fewer steps."""
    if not records:
        return []
    return [
        ("Code", _code(records)),
        ("Software", _software(records)),
        ("Hardware", _hardware(records)),
    ]


def _code(records: Sequence[Record]) -> str:
    found: dict[str, dict[str, None]] = {}
    for record in records:
        found.setdefault(str(record.done.get("code_hash", "unknown")), {})[record.spec.method] = None
    return "; ".join(f"{code} ({listing(list(methods))})" for code, methods in sorted(found.items())) + "."


def _software(records: Sequence[Record]) -> str:
    names = ("sefar_bench", "python", "torch", "numpy")
    trained = [f"{name.replace('_', '-')} {seen}" for name in names if (seen := _seen(records, name))]
    tested = [f"{name} {version(name)}" for name in STATISTICS]
    return f"trials: {', '.join(trained) or 'unknown'}; tests: {', '.join(tested)}."


def _hardware(records: Sequence[Record]) -> str:
    parts = [_seen(records, "gpu"), _seen(records, "processor")]
    threads = sorted({record.spec.protocol.threads for record in records})
    said = "; ".join(filter(None, parts)) or "unknown"
    return f"{said}; {listing([count(n, 'thread') for n in threads])} per trial."


def _seen(records: Iterable[Record], name: str) -> str:
    """All values of a field of the trials' environments."""
    values: dict[Any, None] = {}
    for record in records:
        value = record.done.get("environment", {}).get(name)
        if value not in (None, ""):
            values[str(value)] = None
    return ", ".join(sorted(values))
