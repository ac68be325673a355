"""Random faults; after each the same command must finish, and its table must equal the undisturbed one.

Example: python benchmarks/chaos.py --faults 160 --ray 40    (as `make chaos` does)

The seed is printed; number N of a seed is always the same fault, and `--only N` does it alone.  What passed
is kept in a file, so a stopped campaign goes on where it was: without Ray after each fault, through Ray after
each run, which several faults hit.  `--minutes` stops it by itself.  It kills only processes that it started.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import chaos_table
import numpy as np
import torch
from chaos_faults import (
    FAULTS,
    Stage,
    command,
    count_instructions,
    forked,
    litter,
    may_mount,
    release,
    results,
    table,
)
from chaos_kept import FAULT_CODE, RAY_CODE, Kept, code_of

from bench.plan import Choice, PlannedTrial, plan_section
from bench.runner import prepare_data
from bench.store import RunFolder
from bench.suite import load_suite
from bench.trial_code import trial_code_hash
from datasets.draws import generator

STEPS = 5

Say = Callable[[str], None]


def tiny_trials() -> tuple[PlannedTrial, ...]:
    """Two trials of the suite `smoke` with next to no training; their data are made first."""
    planned = plan_section(load_suite("smoke"), "embedded", Choice(seeds=(0,)), "cpu")
    prepare_data(planned)
    small = {"labeled": 2, "unlabeled": 2, "warmup": 2}
    made = []
    for trial in planned:
        protocol = trial.spec.protocol
        batch = protocol.batch.model_copy(update=small)
        short = protocol.model_copy(update={"steps": STEPS, "batch": batch})
        spec = trial.spec.model_copy(update={"protocol": short, "limited": True})
        made.append(trial.model_copy(update={"spec": spec}))
    return tuple(made)


def one_fault(number: int, seed: int, stage: Stage, expected: object) -> str:
    """Does fault `number` in an empty folder and completes the run.

    Returns:
        Its kind.

    Raises:
        AssertionError: when the command does not finish, does again what was done, gives another table, or
            leaves something.
    """
    rng = generator(seed, "chaos", index=number)
    kind = list(FAULTS)[number % len(FAULTS)]
    FAULTS[kind](stage, rng)
    before = results(stage.run, stage.trials)
    status = forked(lambda: command(stage.run, stage.trials))
    if status != 0:
        raise AssertionError(f"after the fault the command ends with {status}")
    after = results(stage.run, stage.trials)
    if again := [trial for trial in before if after.get(trial) != before[trial]]:
        raise AssertionError(f"after the fault finished trials are done again: {again}")
    if table(stage.run, stage.trials) != expected:
        raise AssertionError("after the fault the table is another one")
    if litter(stage.run):
        raise AssertionError(f"after the fault these files are left: {litter(stage.run)}")
    return kind


def campaign(
    numbers: Sequence[int],
    seed: int,
    kept: Path | None = None,
    say: Say = print,
    until: float = float("inf"),
) -> tuple[Counter[str], list[str]]:
    """Does the faults with these numbers, except those that `kept` has.

    Args:
        numbers: which faults.
        seed: of what each fault is.
        kept: file of those that passed.
        say: where a fault that did not pass is told.
        until: `time.monotonic()` after which no further one begins.

    Returns:
        How many passed of each kind, and a line per fault that did not.
    """
    torch.set_num_threads(1)
    trials = tiny_trials()
    codes = [trial_code_hash(trial.spec) for trial in trials]
    notes = Kept(kept, f"{codes[-1]} {code_of(FAULT_CODE)}", seed)
    past = {row["number"]: row["kind"] for row in notes.rows if "number" in row}
    passed: Counter[str] = Counter(kind for number, kind in past.items() if number in numbers)
    failed: list[str] = []
    if all(number in past for number in numbers):
        return passed, failed
    with tempfile.TemporaryDirectory(prefix="sefar-chaos-") as name:
        home = Path(name)
        home.chmod(0o755)
        if not may_mount(home / "disk"):
            say("this user may not mount a small file system: full disks are limits of file sizes here")
        calm = RunFolder(home / "calm")
        instructions = count_instructions(calm, trials, home / "instructions")
        expected = table(calm, trials)
        for number in numbers:
            if number in past or time.monotonic() > until:
                continue
            run = RunFolder(home / "run")
            began = time.monotonic()
            try:
                kind = one_fault(number, seed, Stage(run, trials, instructions), expected)
            except AssertionError as error:
                kind = list(FAULTS)[number % len(FAULTS)]
                failed.append(f"fault {number} ({kind}) of seed {seed}: {error}")
                say(failed[-1])
            else:
                passed[kind] += 1
                notes.add({"number": number, "kind": kind, "seconds": round(time.monotonic() - began, 1)})
            finally:
                release(run.path)
                shutil.rmtree(run.path, ignore_errors=True)
    return passed, failed


def _write_table(page: Path, kept: Path, seed: int) -> None:
    """The table of what is kept of today's code."""
    importlib.import_module("chaos_ray")  # its code is part of what was tested
    code = f"{trial_code_hash(tiny_trials()[-1].spec)} {code_of(FAULT_CODE)}"
    ray = Kept(kept, code_of(*RAY_CODE), seed).rows
    chaos_table.write(page, chaos_table.markdown(Kept(kept, code, seed).rows, ray))


def main() -> int:
    """Does what is missing of a campaign: 1 when a fault did not pass, 3 when some are still to come."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=160, help="faults through trial and store")
    parser.add_argument("--ray", type=int, default=40, help="faults through real Ray")
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, which is printed")
    parser.add_argument("--only", type=int, default=None, help="just the fault of this number")
    parser.add_argument("--kept", type=Path, default=None, help="file of faults that passed")
    parser.add_argument("--write", type=Path, default=None, help="page that takes the table of what is kept")
    parser.add_argument("--minutes", type=float, default=None, help="begin no further fault after so long")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    seed = given.seed if given.seed is not None else int(np.random.SeedSequence().entropy) % 10**6
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    until = began + 60 * given.minutes if given.minutes is not None else float("inf")
    numbers = range(given.faults) if given.only is None else [given.only]
    passed, failed = campaign(numbers, seed, given.kept, until=until)
    count = sum(passed.values())
    missing = len(numbers) - count - len(failed)
    print(f"{count} of {len(numbers)} faults without Ray passed: {dict(sorted(passed.items()))}", flush=True)
    if given.ray and given.only is None:
        from chaos_ray import ray_campaign  # noqa: PLC0415 - starts processes

        survived, broken = ray_campaign(given.ray, seed, given.kept, until)
        failed += broken
        count = sum(survived.values())
        missing += max(0, given.ray - count) if not broken else 0
        print(f"{count} of {given.ray} faults through Ray passed: {dict(sorted(survived.items()))}")
    if given.write is not None and given.kept is not None:
        _write_table(given.write, given.kept, seed)
    print(f"{len(failed)} failed, {missing} still to come, {time.monotonic() - began:.0f} s")
    return 1 if failed else 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
