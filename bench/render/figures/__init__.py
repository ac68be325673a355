"""The figures of a report, one idea per file.

Import these modules only where figures are made: they load Matplotlib and seaborn.
"""
