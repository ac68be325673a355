"""What long work says while it goes on."""

from __future__ import annotations

import time

import pytest

from datasets import progress


def test_without_a_terminal_there_is_a_line_now_and_then_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10_000, 12))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    assert list(progress.tracked(range(8), 8, "verifying mine")) == list(range(8))
    assert capsys.readouterr().err.splitlines() == [
        "verifying mine: 8 clips",
        "verifying mine: 3 of 8, about 60 s left",
        "verifying mine: 6 of 8, about 24 s left",
        "verifying mine: done in 2 min",
    ]


def test_short_work_says_two_lines_and_hidden_work_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.tracked("abc", 3, "decoding mine")) == ["a", "b", "c"]
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert list(progress.tracked("abc", 3, "decoding mine", shown=False)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_work_that_is_left_early_is_closed() -> None:
    ended = []

    def work():  # type: ignore[no-untyped-def]
        try:
            yield from range(5)
        finally:
            ended.append(True)

    items = progress.tracked(work(), 5, "decoding mine")
    next(items)
    items.close()
    assert ended == [True]
