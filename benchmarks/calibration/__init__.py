"""Simulated boards and what the tests of the leaderboard make of them."""
