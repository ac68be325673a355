"""`stats.json`: every mean and every test behind the page, with estimate, se, df, raw and adjusted p."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.board import Board, Row
from bench.families import Comparison
from bench.new_datasets import NewDatasets
from bench.stats import PairTest, TTest
from bench.suite import Suite
from bench.summary import Summary, SummaryRow, summaries

DIGITS = 10
"""Significant digits: what differs behind them is the arithmetic of a machine."""


def stats_json(suite: Suite, boards: Sequence[Board]) -> str:
    """The text of the file.  Accuracies and differences are fractions; null where no claim is made."""
    value = {
        "suite": suite.name,
        "claim": "this method on this data set (new seeds, new clips)",
        "correction": "Holm within each family of a board",
        "alpha": suite.alpha,
        "equivalence_points": suite.equivalence_points,
        "boards": [_board(board) for board in boards],
        "summaries": [_summary(summary) for summary in summaries(boards)],
    }
    return json.dumps(_plain(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _board(board: Board) -> dict[str, Any]:
    families = board.families
    names = _names(board)
    tests: list[dict[str, Any]] = []
    if families is not None and board.tested:
        tests += [_test(c, names) for c in families.against_baseline.values()]
        tests += [_test(c, names) for c in families.pairs.values()]
    return {
        "section": board.section,
        "cell": board.cell,
        "measure": board.measure,
        "seeds": list(board.seeds),
        "clips": len(board.scored.clips) if board.scored else 0,
        "clusters": len(set(board.scored.groups)) if board.scored else 0,
        "conditional_on_label_draw": board.pinned,
        "tested": board.tested,
        "rows": [_row(row) for row in board.rows],
        "tests": sorted(tests, key=lambda test: (test["family"] != "B", test["a"], test["b"])),
    }


def _names(board: Board) -> dict[int, str]:
    """Labels by the index that the families use: the suite's order of the ranked rows."""
    order = board.families.groups.order if board.families else ()
    return {index: row.entry.label for index, row in zip(order, board.ranked, strict=True)}


def _row(row: Row) -> dict[str, Any]:
    mean = row.mean
    return {
        "entry": row.entry.label,
        "role": row.entry.role,
        "seeds": list(row.used),
        "planned": row.planned,
        "diverged": list(row.diverged),
        "scores": {str(seed): score for seed, score in row.scores.items()},
        "mean": mean.estimate if mean else None,
        "se": mean.se if mean else None,
        "df": mean.df if mean else None,
        "low": mean.low if mean else None,
        "high": mean.high if mean else None,
        "rank": list(row.ranks) if row.ranks else None,
        "group": row.letters or None,
        "best_group": row.bold,
        "wins_ties_losses": list(row.record) if row.record else None,
        "prob_superiority": row.superiority,
        "sensitivity": _sensitivity(row),
    }


def _sensitivity(row: Row) -> dict[str, Any] | None:
    changed = row.sensitivity
    if changed is None:
        return None
    cases = {
        "worst": changed.worst,
        "best": changed.best,
        "without_diverged": changed.without_diverged,
    }
    found: dict[str, Any] = {"one_sided_seeds": list(changed.one_sided)}
    for name, test in cases.items():
        found[name] = (
            None if test is None else {"estimate": test.estimate, "low": test.low, "high": test.high}
        )
    return found


def _summary(summary: Summary) -> dict[str, Any]:
    """A section over its data sets; the tests of claim G under `new_data_sets`."""
    names = dict(enumerate(summary.order))
    tests: list[dict[str, Any]] = []
    if summary.families is not None:
        tests += [_test(c, names) for c in summary.families.against_baseline.values()]
        tests += [_test(c, names) for c in summary.families.pairs.values()]
    return {
        "section": summary.section,
        "claim": "these data sets (new seeds, new clips)",
        "measure": summary.measure,
        "data_sets": list(summary.data),
        "cells": list(summary.cells),
        "labels": summary.labels or None,
        "seeds": {data: list(seeds) for data, seeds in summary.seeds.items()},
        "reason": summary.reason or None,
        "unranked": {label: list(cells) for label, cells in summary.unranked.items()},
        "rows": [_summary_row(row) for row in summary.ranked],
        "tests": tests,
        "new_data_sets": _new(summary.new, names),
    }


def _summary_row(row: SummaryRow) -> dict[str, Any]:
    return {
        "entry": row.entry.label,
        "scores": dict(row.scores),
        "mean": row.mean.estimate,
        "low": row.mean.low,
        "high": row.mean.high,
        "rank": list(row.ranks) if row.ranks else None,
        "group": row.letters or None,
        "best_group": row.bold,
        "wins_ties_losses": list(row.record) if row.record else None,
        "sign_flip_p": row.flips.p if row.flips else None,
    }


def _new(new: NewDatasets | None, names: Mapping[int, str]) -> dict[str, Any] | None:
    if new is None:
        return None
    families = (("B", new.against_baseline.values()), ("A", new.pairs.values()))
    return {
        "test": "Wilcoxon signed ranks over data-set means, exact, Holm within each family",
        "tests": [
            {
                "family": family,
                "a": names[c.a],
                "b": names[c.b],
                "estimate": c.estimate,
                "p": c.test.p,
                "adjusted_p": c.adjusted_p,
            }
            for family, comparisons in families
            for c in comparisons
        ],
        "iman_davenport_p": new.omnibus.iman_davenport_p if new.omnibus else None,
        "average_ranks": new.omnibus.average_ranks.tolist() if new.omnibus else None,
        "critical_difference": new.critical_difference,
    }


def _test(c: Comparison, names: Mapping[int, str]) -> dict[str, Any]:
    test = c.test
    return {
        "family": c.family,
        "size": c.size,
        "a": names[c.a],
        "b": names[c.b],
        "estimate": c.estimate,
        "se": test.se if test else None,
        "df": test.df if test else None,
        "p": c.p,
        "adjusted_p": c.adjusted_p,
        "low": c.low,
        "high": c.high,
        "detectable": c.detectable,
        "detectable_in_family": c.detectable_in_family,
        "reason": test.reason if test else None,
        **_variances(test),
    }


def _variances(test: TTest | None) -> dict[str, float | None]:
    """The parts of the variance of a pair on one board, so that a reader can add them up again."""
    if not isinstance(test, PairTest):
        return {}
    return {
        "V_seed": test.V_seed,
        "V_seed_moderated": test.V_seed_moderated,
        "V_clip": test.V_clip,
        "V_inter": test.V_inter,
    }


def _plain(value: Any) -> Any:
    """Rounded to `DIGITS`, so that the same records give the same bytes."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
