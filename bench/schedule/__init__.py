"""Ray Tune runs the trials that are missing.  The only package that imports Ray, and not before it is needed.

Ray is the executor and nothing more: workers get a specification as JSON, load the classes themselves and
write the harness's own records, and what became of a trial is read from those.
"""

from bench.schedule.driver import run_trials
from bench.schedule.outcome import OnResult, Outcome
from bench.schedule.search import draw_configurations
from bench.schedule.settings import Settings, available_cpus, places, resources

__all__ = [
    "OnResult",
    "Outcome",
    "Settings",
    "available_cpus",
    "draw_configurations",
    "places",
    "resources",
    "run_trials",
]
