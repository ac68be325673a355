"""Data sets, splits, video files, clip cache, sampling and augmentation.  Imports nothing else of ours."""
