"""Random faults; after each the same command must finish, and its table must equal the undisturbed one.

Example: python benchmarks/chaos.py --faults 160 --ray 40    (as `make chaos` does)

The seed is printed; number N of a seed is always the same fault, and `--only N` does it alone.  What passed
is kept in a file, so a stopped campaign goes on where it was.  Only processes that it started are killed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from chaos_faults import FAULTS, Stage, command, count_lines, forked, litter, table

from bench.plan import Choice, plan_section
from bench.runner import prepare_data
from bench.spec import TrialSpec
from bench.store import RunFolder
from bench.suite import load_suite
from bench.trial_code import trial_code_hash
from datasets.draws import generator

STEPS = 5


def tiny_trials() -> tuple[TrialSpec, ...]:
    """Two trials of the suite `smoke` with next to no training; their data are made first."""
    planned = plan_section(load_suite("smoke"), "embedded", Choice(seeds=(0,)), "cpu")
    prepare_data(planned)
    small = {"labeled": 2, "unlabeled": 2, "warmup": 2}
    return tuple(
        trial.spec.model_copy(
            update={
                "protocol": trial.spec.protocol.model_copy(
                    update={
                        "steps": STEPS,
                        "batch": trial.spec.protocol.batch.model_copy(update=small),
                    }
                ),
                "limited": True,
            }
        )
        for trial in planned
    )


def one_fault(number: int, seed: int, stage: Stage, expected: object) -> str:
    """Does fault `number` in an empty folder and completes the run.

    Returns:
        Its kind.

    Raises:
        AssertionError: when the command does not finish, the table is another one, or something is left.
    """
    rng = generator(seed, "chaos", index=number)
    kind = list(FAULTS)[number % len(FAULTS)]
    FAULTS[kind](stage, rng)
    status = forked(lambda: command(stage.run, stage.specs))
    if status != 0:
        raise AssertionError(f"after the fault the command ends with {status}")
    if table(stage.run, stage.specs) != expected:
        raise AssertionError("after the fault the table is another one")
    if litter(stage.run):
        raise AssertionError(f"after the fault these files are left: {litter(stage.run)}")
    return kind


def campaign(
    numbers: Sequence[int], seed: int, kept: Path | None = None, say: Callable[[str], None] = print
) -> tuple[Counter[str], list[str]]:
    """Does the faults with these numbers, except those that `kept` has.

    Returns:
        How many passed of each kind, and a line per fault that did not.
    """
    torch.set_num_threads(1)
    specs = tiny_trials()
    code = trial_code_hash(specs[-1])
    past = _past(kept, seed, code)
    passed: Counter[str] = Counter(kind for number, kind in past.items() if number in numbers)
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sefar-chaos-") as name:
        home = Path(name)
        home.chmod(0o755)
        calm = RunFolder(home / "calm")
        lines = count_lines(calm, specs, home / "lines")
        expected = table(calm, specs)
        for number in numbers:
            if number in past:
                continue
            run = RunFolder(home / "run")
            try:
                kind = one_fault(number, seed, Stage(run, specs, lines), expected)
            except AssertionError as error:
                failed.append(
                    f"fault {number} ({list(FAULTS)[number % len(FAULTS)]}) of seed {seed}: {error}"
                )
                say(failed[-1])
            else:
                passed[kind] += 1
                _keep(kept, {"seed": seed, "code": code, "number": number, "kind": kind})
            finally:
                shutil.rmtree(run.path, ignore_errors=True)
    return passed, failed


def _past(kept: Path | None, seed: int, code: str) -> dict[int, str]:
    if kept is None or not kept.is_file():
        return {}
    found = {}
    for line in kept.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the line during which it was stopped
            continue
        if (row["seed"], row["code"]) == (seed, code):
            found[row["number"]] = row["kind"]
    return found


def _keep(kept: Path | None, row: dict[str, object]) -> None:
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=160, help="faults through trial and store")
    parser.add_argument("--ray", type=int, default=40, help="faults through real Ray")
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, which is printed")
    parser.add_argument("--only", type=int, default=None, help="just the fault of this number")
    parser.add_argument("--kept", type=Path, default=None, help="file of faults that passed")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else int(np.random.SeedSequence().entropy) % 10**6
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    numbers = range(given.faults) if given.only is None else [given.only]
    passed, failed = campaign(numbers, seed, given.kept)
    print(f"{sum(passed.values())} of {len(numbers)} faults without Ray passed: {dict(passed)}", flush=True)
    if given.ray and given.only is None:
        from chaos_ray import ray_campaign  # noqa: PLC0415 - starts processes

        survived, broken = ray_campaign(given.ray, seed)
        failed += broken
        print(f"{sum(survived.values())} of {given.ray} faults through Ray passed: {dict(survived)}")
    print(f"{len(failed)} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
