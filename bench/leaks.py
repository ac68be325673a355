"""What audits know of a data set: no run on leaked data without consent, and footnotes for its boards."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bench import plugins
from datasets.annotated import AnnotatedSet
from datasets.audit import AuditFinding, audit_table, sort_findings
from datasets.audit_lists import audit_lists, read_published
from datasets.audit_record import load
from datasets.errors import UserError
from datasets.types import DataSet

TELLING_NOTES = ("shared sources", "not stratified", "classes without test", "not compared")
"""Notes that change how a score is to be read; others are about the form of the lists."""


def findings_by_name(dataset: DataSet) -> list[AuditFinding]:
    """What the lists and labels of a data set tell without its files."""
    lists = dataset.lists if isinstance(dataset, AnnotatedSet) else None
    return audit_lists(read_published(lists)) if lists else audit_table(dataset.table())


def known_findings(name: str) -> list[AuditFinding]:
    """By name as the lists of a data set are now, by bytes and footage as its last audit found."""
    dataset = plugins.dataset(name)
    now = findings_by_name(dataset)
    checked = {each.check for each in now}
    return sort_findings([*now, *(each for each in load(dataset.table()) if each.check not in checked)])


def known_leaks(name: str) -> list[AuditFinding]:
    """The leaks of a data set."""
    return [each for each in known_findings(name) if each.severity == "leak"]


def footnotes(name: str) -> list[AuditFinding]:
    """What the boards of a data set must say: its leaks, its flaws, and the notes that bear on scores."""
    return [each for each in known_findings(name) if each.severity != "note" or each.check in TELLING_NOTES]


def refuse_leaks(names: Iterable[str], accepted: Collection[str]) -> None:
    """That no data set of a run has a leak that was not accepted; sets that are absent are passed over.

    Raises:
        UserError: one has; names it, the first leak and the cure.
    """
    known = plugins.dataset_names()
    for name in dict.fromkeys(names):
        if name in accepted or name not in known or not plugins.dataset(name).present():
            continue
        for leak in known_leaks(name):
            example = f" ({leak.examples[0]})" if leak.examples else ""
            raise UserError(
                f"data set '{name}' has a leak: {leak.sentence}{example}; mend it, or run all the same with "
                f"--accept-leak {name}."
            )
