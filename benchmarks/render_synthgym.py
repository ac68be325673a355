"""How fast the embedded data set is made: clips per second with one process and with two.

Example: python benchmarks/render_synthgym.py --per-class 20
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

FORMS = {"synthgym": "SynthGym", "synthgym_order": "SynthGymOrder"}


def measure(form: str, per_class: int, workers: int) -> tuple[float, float, float, float]:
    """Clips per second, CPU milliseconds per clip, mean and largest file in kB of one run.

    CPU time is that of this process and its workers, their start included: unlike the rate it hardly
    depends on what else the machine is doing.
    """
    # Imported here because worker processes import this file too, and have no use for the classes.
    from datasets import synthgym  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as home:
        os.environ["SEFAR_BENCH_HOME"] = home
        data = getattr(synthgym, FORMS[form])(per_class, 0, 0, workers=workers, quiet=True)
        wall, cpu = time.perf_counter(), sum(os.times()[:4])
        data.prepare()
        wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
        sizes = [clip.path.stat().st_size / 1e3 for clip in data.table().clips()]
    return len(sizes) / wall, 1e3 * cpu / len(sizes), sum(sizes) / len(sizes), max(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--form", choices=FORMS, default="synthgym")
    parser.add_argument("--per-class", type=int, default=20, help="clips per class and run (12 classes)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    print("processes  clips/s  CPU ms/clip  kB/clip  largest kB")
    for workers in given.workers:
        rate, cpu, mean, largest = measure(given.form, given.per_class, workers)
        print(f"{workers:9d}  {rate:7.1f}  {cpu:11.1f}  {mean:7.1f}  {largest:10.1f}", flush=True)


if __name__ == "__main__":
    main()
