"""Runs of the command line in this process, with trials executed one after the other instead of by Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import stand_in_figures
import yaml

from bench import cli, plugins, runner
from bench.plan import read_anew
from bench.schedule import Outcome
from bench.suite import SUITES
from bench.trial import Manner, run_trial


@dataclass
class Result:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line of an error, checked to be one."""
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err + self.out
        return self.err


@dataclass
class Bench:
    """The command line; `executed` collects the trials that were run, in order."""

    folder: Path
    capture: Any
    executed: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str | Path) -> Result:
        self.capture.readouterr()
        status = cli.invoke([str(argument) for argument in arguments])
        out, err = self.capture.readouterr()
        return Result(status, out, err)

    def suite(self, change: Callable[[dict[str, Any]], None] | None = None, name: str = "tiny") -> Path:
        """A file with the suite `smoke` at two steps and two seeds, changed by `change`."""
        content = yaml.safe_load((SUITES / "smoke.yaml").read_text(encoding="utf-8"))
        content["name"] = name
        section = content["sections"]["embedded"]
        section["seeds"] = "0-1"
        section["protocol"]["steps"] = 2
        if change is not None:
            change(content)
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data home in which the rendered clips are made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def bench(
    tmp_path: Path,
    shared_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Bench]:
    """The command line in a folder of its own."""
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(shared_home))
    monkeypatch.setenv("SEFAR_BENCH_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    made = Bench(tmp_path, capsys)

    def in_this_process(trials: Any, run: Any, settings: Any, on_result: Any) -> Outcome:
        outcome = Outcome()
        for trial in {t.spec.id: t for t in trials}.values():
            folder = run.trial(trial.spec.id)
            record = run_trial(trial.spec, folder, Manner(keep_weights=settings.keep_weights))
            outcome.done += record["status"] == "done"
            outcome.failed += record["status"] != "done"
            made.executed.append(trial.line)
            on_result(trial, record)
        return outcome

    monkeypatch.setattr(runner, "run_trials", in_this_process)
    monkeypatch.setattr("bench.render.pictures.draw", stand_in_figures.draw)
    plugins._registries.cache_clear()
    read_anew()
    yield made
    plugins._registries.cache_clear()
    read_anew()
