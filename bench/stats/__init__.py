"""The statistics of the leaderboard: pure functions over arrays of per-clip correctness or scores.

Every claim says what it is about: `mcnemar_exact` two trained models, `two_way_paired_t` and `board_tests`
a method on a data set (new seeds, new clips), `these_datasets` several data sets, `wilcoxon_over_datasets`
new ones. Where the data allow no claim, p is None; bad input raises ValueError. Accuracies and
differences are fractions.
"""

from bench.stats.best_of_k import expected_best_of_k
from bench.stats.bootstrap import Bootstrap, crossed_bootstrap
from bench.stats.class_weights import weights_mean_per_class
from bench.stats.crossed import (
    MeanInterval,
    PairTest,
    averaged_board_tests,
    averaged_mean_interval,
    board_tests,
    mean_interval,
    two_way_paired_t,
)
from bench.stats.datasets_mean import these_datasets
from bench.stats.effect_size import cliffs_delta, equivalent, prob_superiority, wins_ties_losses
from bench.stats.estimate import Estimate, TTest
from bench.stats.groups import Groups, cliques
from bench.stats.joining import join_by_key
from bench.stats.max_t import max_t_all_pairs
from bench.stats.mcnemar import McNemar, mcnemar_exact
from bench.stats.multiplicity import holm, holm_by_key
from bench.stats.power import detectable_difference, minimum_detectable_effect, seeds_for_effect
from bench.stats.rank_tests import (
    Friedman,
    bonferroni_dunn_cd,
    friedman,
    nemenyi_cd,
    nemenyi_p,
    nemenyi_q,
    ranks_against,
)
from bench.stats.seed_t import paired_t
from bench.stats.sign_flips import SignFlip, sign_flip_test
from bench.stats.signed_rank import SignedRank, wilcoxon_over_datasets

__all__ = [
    "Bootstrap",
    "Estimate",
    "Friedman",
    "Groups",
    "McNemar",
    "MeanInterval",
    "PairTest",
    "SignFlip",
    "SignedRank",
    "TTest",
    "averaged_board_tests",
    "averaged_mean_interval",
    "board_tests",
    "bonferroni_dunn_cd",
    "cliffs_delta",
    "cliques",
    "crossed_bootstrap",
    "detectable_difference",
    "equivalent",
    "expected_best_of_k",
    "friedman",
    "holm",
    "holm_by_key",
    "join_by_key",
    "max_t_all_pairs",
    "mcnemar_exact",
    "mean_interval",
    "minimum_detectable_effect",
    "nemenyi_cd",
    "nemenyi_p",
    "nemenyi_q",
    "paired_t",
    "prob_superiority",
    "ranks_against",
    "seeds_for_effect",
    "sign_flip_test",
    "these_datasets",
    "two_way_paired_t",
    "weights_mean_per_class",
    "wilcoxon_over_datasets",
    "wins_ties_losses",
]
