"""Clips that nobody can read, from `data add` to the board: named, counted, never replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import unreadable

TRAIN = {f"train{place}.mp4": place % 2 for place in range(6)}
TEST = {f"test{place}.mp4": place % 2 for place in range(4)}
BAD_TRAIN, BAD_TEST, GONE = "train5.mp4", "test3.mp4", "test2.mp4"


@pytest.fixture
def clips(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of clips, of which one of each list is no video and one is not there, and a data home."""
    import numpy as np

    from datasets import video_io

    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "clips"
    for place, name in enumerate({**TRAIN, **TEST}):
        frames = np.full((8, 40, 40, 3), 20 * place, np.uint8)
        frames[:, 10:20] += np.arange(8, dtype=np.uint8)[:, None, None, None] * 7
        video_io.write_video(folder / name, frames)
    for name in (BAD_TRAIN, BAD_TEST):
        (folder / name).write_text("no video\n" * 50)
    (folder / GONE).unlink()
    for role, labels in (("train", TRAIN), ("test", TEST)):
        (tmp_path / f"{role}.txt").write_text("".join(f"{name} {label}\n" for name, label in labels.items()))
    return folder


def test_undecodable_clips_are_named_counted_and_never_replaced(
    bench: Any, clips: Path, tmp_path: Path
) -> None:
    lists = ("--train", tmp_path / "train.txt", "--test", tmp_path / "test.txt")
    assert bench("data", "add", "mine", *lists, "--root", clips).status == 0

    verified = bench("data", "verify", "mine", "--workers", "1")
    assert verified.status == 3
    said = [line for line in verified.out.splitlines() if line.startswith(("missing", "undecodable"))]
    assert [line.split(": ")[:2] for line in said] == [
        ["missing", GONE],
        ["undecodable", BAD_TEST],
        ["undecodable", BAD_TRAIN],
    ]
    assert all("take it out of the lists" in line for line in said)
    assert "10 clips, 9 decoded now: 1 missing, 2 undecodable" in verified.out

    def two_labels(content: dict[str, Any]) -> None:
        section = content["sections"]["embedded"]
        for task in section["tasks"]:
            task["labels"] = ["2"]
        section["seeds"] = "0"

    ran = bench("run", "--suite", bench.suite(two_labels), "--data", "mine", "--to", "pages")
    assert ran.status == 0, ran.err
    told = [line for line in ran.out.splitlines() if "cannot be read" in line]
    assert len(told) == 1
    assert told[0].startswith(
        f"data set 'mine': 3 of 10 clips cannot be read: {GONE} (the file does not exist), "
    )
    assert BAD_TEST in told[0] and BAD_TRAIN in told[0] and "data verify mine" in told[0]
    assert ran.out.index(told[0]) < ran.out.index("trials to run"), "said before the trials"
    for done in tmp_path.glob("runs/*/trials/*/done.json"):
        record = json.loads(done.read_text())
        assert set(record["excluded"]) == {BAD_TRAIN, BAD_TEST, GONE}
        assert {name: (each["unread"], each["listed"]) for name, each in record["unread"].items()} == {
            "training": (1, 6),
            "test": (2, 4),
        }
        rows = pd.read_parquet(done.parent / "predictions.parquet")
        assert set(rows["clip"]) == set(TEST), "every listed clip has a row"
        lost = rows[rows["clip"].isin([BAD_TEST, GONE])]
        assert (lost["predicted"] == -1).all()
        assert record["metrics"]["top1"] == pytest.approx((rows["predicted"] == rows["label"]).mean())
        assert record["metrics"]["top1"] <= 0.5
    board = Path("pages/leaderboard.md").read_text(encoding="utf-8")
    assert "2 of 4" in board
    assert "2 of 4" in Path("pages/leaderboard.html").read_text(encoding="utf-8")
    footer = next(line for line in board.splitlines() if line.startswith("- Of mine, no decoder reads"))
    assert f"Of mine, no decoder reads 1 of 6 training clips, left out: {BAD_TRAIN} (" in footer
    assert f"2 of 4 test clips, counted wrong: {GONE} (the file does not exist), {BAD_TEST} (" in footer
    again = bench("report", "--suite", tmp_path / "tiny.yaml", "--to", "again")
    assert again.status == 0, again.err
    assert "2 of 4" in Path("again/leaderboard.md").read_text(encoding="utf-8")


def test_the_footer_names_some_counts_the_rest_and_lets_no_name_be_markup() -> None:
    errors = {f"clip{i}\x1b[2J.mp4": "the file is empty" for i in range(9)}
    record = {
        "excluded": errors,
        "unread": {"test": {"listed": 40, "unread": 9, "first": sorted(errors)[:3]}},
    }
    said = unreadable.footnote("mine", [record, {}, record])
    assert said is not None
    assert said.startswith("Of mine, no decoder reads 9 of 40 test clips, counted wrong: clip0")
    assert said.endswith("clip2\ufffd[2J.mp4 (the file is empty), and 6 more.")
    assert unreadable.footnote("mine", [{"excluded": {}}, {}]) is None
    older = unreadable.footnote("mine", [{"excluded": {"a.mp4": "the file is empty"}}])
    assert older == "Of mine, no decoder reads 1 of its clips: a.mp4 (the file is empty)."
