"""Runs whose results and checkpoints are in an object store; what was on a machine's disk is lost."""

from __future__ import annotations

import json
import shutil
import signal
from typing import Any

import pandas as pd
import pytest
import walking

from bench.storage_uri import open_storage

pytestmark = pytest.mark.slow


def _checkpointed(uri: str) -> bool:
    """Whether the store has a checkpoint of a trial that is well under way."""
    place = open_storage(uri)
    pointers = [entry.path for entry in place.listed("walk/trials") if entry.path.endswith("checkpoint.json")]
    names = [name for path in pointers for name in json.loads(place.read(path) or b"{}").get("files", {})]
    return any(int(name.split("-")[1]) >= 8 for name in names)


def test_a_killed_run_is_completed_on_another_machine(shell: Any, s3: Any) -> None:
    what, uri = walking.suite(shell, "0-1"), s3.uri()
    status, _, err = shell.run("run", *what, "--out", "calm")
    assert status == 0, err
    (shell.home / "walk.txt").unlink()

    stored = ("--storage", uri, "--checkpoint-seconds", "0.2")
    process = shell.start("run", *what, *stored, "--out", "one")
    walking.until(shell, process, lambda: walking.walked(shell) and _checkpointed(uri))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shell.wait_for(lambda: not shell.processes())
    before = len(walking.walked(shell))
    shutil.rmtree(shell.folder / "one")

    status, out, err = shell.run("run", *what, *stored, "--out", "two")
    assert status == 0, err
    after = walking.walked(shell)[before:]
    assert any(step.step > 0 for step in walking.starts(after)), walking.starts(after)
    calm = walking.results(shell.folder / "calm/walk")
    pd.testing.assert_frame_equal(walking.results(shell.folder / "two/walk"), calm)

    # What is left in the store is the results, and a third machine makes the same table of them.
    left = {entry.path.split("/")[1] for entry in open_storage(uri).listed("walk")}
    assert left == {"plan.json", "env.json", "splits", "results", "trials"}
    assert not any(
        ".pt" in entry.path or "claims" in entry.path for entry in open_storage(uri).listed("walk")
    )
    status, out, err = shell.run("report", *what, "--storage", uri, "--out", "three")
    assert status == 0, err
    pd.testing.assert_frame_equal(walking.results(shell.folder / "three/walk"), calm)
    status, out, err = shell.run("run", *what, *stored, "--out", "four")
    assert status == 0 and "all 4 trials are done" in out, err


def test_a_job_that_is_preempted_goes_on_from_the_store_without_losing_a_step(shell: Any, s3: Any) -> None:
    what, uri = walking.suite(shell, "0"), s3.uri()
    status, out, err = shell.run("plan", *what, "--export", "jobs", "--storage", uri, "--out", "one")
    assert status == 0, err
    job = ("trial", "jobs/00002.json", "--plugin", shell.folder / "walks.py", "--storage", uri)
    (shell.home / "walk.txt").unlink(missing_ok=True)

    for number in (signal.SIGUSR1, signal.SIGTERM):
        began = len(walking.walked(shell))
        process = shell.start(*job, "--out", f"machine-{number}")
        walking.until(shell, process, lambda began=began: len(walking.walked(shell)) >= began + 10)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 130, (out, err)
        assert "goes on from the checkpoint" in err and "Traceback" not in err
        shutil.rmtree(shell.folder / f"machine-{number}")

    status, out, err = shell.run(*job, "--out", "last")
    assert status == 0, err
    # Steps of the warm-up are not walked; the last one is walked once more, to count what a step costs.
    unlabeled = range(walking.STEPS // 4, walking.STEPS)
    assert [step.step for step in walking.walked(shell)] == [*unlabeled, walking.STEPS - 1]

    status, out, err = shell.run(*job, "--out", "calm-without-a-store", "--storage", "elsewhere")
    assert status == 0, err
    one, two = (
        next((shell.folder / name).rglob("predictions.parquet")).read_bytes()
        for name in ("last", "calm-without-a-store")
    )
    assert one == two


def test_a_store_that_cannot_be_reached_is_one_sentence(shell: Any) -> None:
    what = walking.suite(shell, "0")
    uri = "s3://box/x?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"
    secrets = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "verysecret"}
    status, out, err = shell.run("run", *what, "--storage", uri, **secrets)
    assert status == 1
    assert err.count("\n") == 1 and err.startswith("error: --storage s3://box/x?")
    assert "see whether it runs and is reachable from here; nothing was lost" in err
    assert "verysecret" not in err + out
    assert not list(shell.folder.glob("runs/walk/trials/*"))
