"""The leaderboard as one HTML file without any network: styles, script and pictures are inside."""

from bench.render.html.page import html

__all__ = ["html"]
