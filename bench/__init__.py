"""The harness: suites, plans, trials, scheduling, statistics and leaderboards.  Names no method and no data set."""

__version__ = "0.1.0"
