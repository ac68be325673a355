"""The mean difference over several data sets: a claim about these data sets, not about new ones."""

from __future__ import annotations

from collections.abc import Iterable

from bench.stats.estimate import Estimate, TTest, claim, no_claim, t_p


def these_datasets(cells: Iterable[Estimate]) -> TTest:
    """Is the mean of the data sets' differences zero, with new seeds and clips of the same data sets?

    V = sum V_d / D^2 with V_d = se_d^2, and Satterthwaite's degrees of freedom (sum V_d)^2 / sum(V_d^2 /
    df_d).

    Args:
        cells: one result per data set (`two_way_paired_t`, or one pair of `board_tests`), independent of each
            other; fractions of one data set are not, average them first.

    Returns:
        p is None where any cell makes no claim: a mean over the others would be about fewer data sets.

    Raises:
        ValueError: if there is no cell.
    """
    results = list(cells)
    if not results:
        raise ValueError("these_datasets needs at least one data set's result.")
    mean = sum(cell.estimate for cell in results) / len(results)
    total = 0.0
    spread = 0.0
    for position, cell in enumerate(results):
        if cell.se is None or cell.df is None:
            return TTest(p=None, **no_claim(mean, f"data set {position} makes no claim: {cell.reason}"))
        total += cell.se**2
        spread += cell.se**4 / cell.df
    variance, df = total / len(results) ** 2, total**2 / spread
    return TTest(p=t_p(mean, variance**0.5, df), **claim(mean, variance, df))
