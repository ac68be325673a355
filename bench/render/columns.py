"""What each column of a board means, in plain words: for tooltips and page footers."""

from __future__ import annotations

from bench.metrics import MEANING

EXPLAINED = {
    "rank": (
        "The places that this entry may hold. 2–4 means: shown to be worse than one other entry and "
        "better than all but three; in between the data do not decide."
    ),
    "group": (
        "Entries that share a letter are not shown to differ from each other. One entry may have several "
        "letters, since “not shown to differ” does not carry over from pair to pair."
    ),
    "entry": (
        "A method with its settings. Bold is the best group: not shown to be worse than the highest mean."
        " Where no two entries are shown to differ, nobody is bold."
    ),
    "accuracy": (
        "Mean over the seeds of the share of test clips that are classified right (or, on a board of the "
        "mean per class, of the mean of the classes' shares). A clip that cannot be decoded counts as "
        "wrong. In brackets the 95 % interval: where the mean is expected to lie with other seeds and "
        "other test clips. Intervals of two rows may overlap although their difference is clear: look at "
        "the difference."
    ),
    "to_baseline": (
        "Difference to the baseline in percentage points, seed by seed and clip by clip, with its 95 % "
        "interval."
    ),
    "p_baseline": (
        "How often a difference to the baseline at least as large would appear if there were none, made "
        "larger (Holm) for the number of entries that are compared with the baseline: family B."
    ),
    "to_best": "Difference to the entry with the highest mean, in percentage points, with its 95 % interval.",
    "p_best": (
        "How often a difference to the best entry at least as large would appear if there were none, made"
        " larger (Holm) for the number of all pairs on the board, since “best” is chosen after seeing the"
        " results: family A."
    ),
    "record": "On how many seeds this entry scores higher than, the same as, and lower than the baseline.",
    "superiority": (
        "How often a run of this entry scores higher than a run of the baseline, over all pairs of runs, "
        "ties counted half."
    ),
    "mean_over_data": "Mean over the data sets, which weigh equally; label budgets are averaged first.",
    "flips": (
        "The same comparison with the baseline without assuming a normal distribution: random signs for the "
        "differences of the blocks (data set and seed). Not adjusted for the number of comparisons."
    ),
    "seeds": (
        "Finished of planned seeds. A seed fixes the labeled clips, the initial weights, the order of the"
        " data and the augmentation, for all entries alike."
    ),
    "method": "The method behind the entry.",
    "note": "What sets this entry apart.",
    "clips": (
        "Test clips that could be decoded, of those listed; the others count as wrong. In brackets the "
        "source videos that they were cut from, where that is fewer."
    ),
    "detectable": (
        "The true difference to the baseline, in points, that would have been found with a probability of"
        " 80 %: were this the only comparison, and as the strictest of its family. Not significant does "
        "not mean equal."
    ),
    "tuned": (
        "How many configurations were tried on validation clips before, and which settings were chosen. Then "
        "the validation accuracy that is expected of the best of so many configurations: how much of a score "
        "more tuning buys."
    ),
    "time": (
        "Time of one trial. CPU (processor): the processor time of its training, which other programs on the "
        "machine do not change. Otherwise by the clock on the wall: preparing, training, evaluating."
    ),
    "time_all": "The same for all finished trials of the entry together.",
    "hashes": (
        "First digits of two hashes: of the code that ran the trials, and of all settings of the row. Equal "
        "digits, equal code and settings. The hashes of the splits are in the small print."
    ),
    "gpu_hours": "Hours on a GPU of all finished trials of the entry together.",
    "throughput": "Training clips, labeled and unlabeled, per second of training, by the clock of the time.",
    "memory": ("The most memory that a trial of the entry held: of the GPU, or of its process on a CPU."),
    "energy": "What the device drew over all trials of the entry, where it can be read.",
    **{key: f"{text[0].upper()}{text[1:]}." for key, text in MEANING.items()},
    "coverage": "Mean share of the unlabeled clips whose pseudo-label was used, over the whole training.",
    "precision": (
        "Share of right ones among the used pseudo-labels, by weight, against labels that no method sees."
    ),
    "gap": (
        "Mean difference to the baseline in points over the seeds that both have; not tested, in no family."
    ),
    "budget": (
        "Mean difference to the baseline in points at this label budget; an asterisk marks what is "
        "significant in family B of its own board."
    ),
    "class": "A class of the data set.",
    "clips_of_class": "How many test clips the class has.",
    "class_accuracy": (
        "Share of this class's test clips that the entry classifies right, mean over its seeds. Single "
        "classes are not tested: with few clips they vary much."
    ),
}
"""Key of a column -> what it says."""
