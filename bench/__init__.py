"""The harness: suites, plans, trials, scheduling, statistics, leaderboards.  It names no method."""

__version__ = "0.1.0"
