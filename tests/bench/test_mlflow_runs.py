"""`--mlflow`: finished trials as runs there, each once; and no trial fails because of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import mlflow_runs
from bench.mlflow_runs import STATUS, TRIAL, MlflowRuns
from bench.store import RunFolder, read_json
from datasets.errors import UserError


@pytest.mark.slow
def test_trials_are_runs_with_parameters_metrics_and_tags_each_once(bench: Any) -> None:
    from mlflow import MlflowClient

    suite, uri = bench.suite(), f"file:{bench.folder / 'kept'}"
    assert bench("run", "--suite", suite, "--seeds", "0", "--methods", "supervised").status == 0
    command = ("run", "--suite", suite, "--seeds", "0-1", "--methods", "supervised", "--mlflow", uri)
    answer = bench(*command)
    assert answer.status == 0, answer.err
    assert answer.err == ""
    assert (
        bench("run", "--suite", suite, "--seeds", "0-1", "--methods", "supervised", "--mlflow", uri).status
        == 0
    )
    client = MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    records = {p.parent.name: read_json(p) for p in bench.folder.glob("runs/tiny/trials/*/done.json")}
    assert sorted(run.data.tags[TRIAL] for run in runs) == sorted(records)  # those of before come along
    for run in runs:
        record, tags = records[run.data.tags[TRIAL]], run.data.tags
        assert run.info.status == "FINISHED" and tags[STATUS] == "done"
        assert (tags["suite"], tags["cell"]) == ("tiny", "synthgym_tiny@2")
        assert run.info.run_name == f"synthgym_tiny@2 {tags['entry']} seed={tags['seed']}"
        assert run.data.metrics["top1"] == record["metrics"]["top1"]
        assert run.data.params["method"] == record["spec"]["method"]
        assert run.data.params["protocol.optimizer.lr"] == "0.004"
        lines = (bench.folder / f"runs/tiny/trials/{tags[TRIAL]}/metrics.jsonl").read_text().splitlines()
        history = client.get_metric_history(run.info.run_id, "lr")
        assert [(each.step, each.value) for each in history] == [
            (line["step"], line["lr"]) for line in map(json.loads, lines)
        ]


def _no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)


def test_without_the_package_one_sentence_before_anything_starts(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_package(monkeypatch)
    answer = bench("run", "--suite", bench.suite(), "--mlflow", "file:kept")
    assert answer.status == 1
    assert "sefar-bench[mlflow]" in answer.sentence
    assert not (bench.folder / "runs").exists() and bench.executed == []


class _Client:
    """Stands for a server; `down` makes it fail."""

    def __init__(self, down: bool) -> None:
        self.down, self.calls = down, 0

    def get_experiment_by_name(self, name: str) -> Any:
        return type("Experiment", (), {"experiment_id": "1"})

    def search_runs(self, *_: Any, **__: Any) -> Any:
        return type("Page", (list,), {"token": None})()

    def create_run(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        raise ConnectionError("the server went\naway.")


def test_a_server_that_goes_away_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from test_watch import TRIALS

    client = _Client(down=True)
    monkeypatch.setattr(mlflow_runs, "_client", lambda uri: client)
    runs = MlflowRuns("http://there", RunFolder(tmp_path))
    for trial in TRIALS:
        runs.finished(trial, {"status": "done"})
    runs.close()
    first, last = capsys.readouterr().err.splitlines()
    assert first == "warning: MLflow at http://there: the server went"
    assert last.startswith("warning: not everything was sent to MLflow at http://there; the same command")
    assert client.calls == mlflow_runs.FAILURES


@pytest.mark.slow
def test_an_unknown_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--mlflow nonsense://x: MLflow .*file:/DIR"):
        MlflowRuns("nonsense://x", RunFolder(tmp_path))
