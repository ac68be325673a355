"""No run on data whose test is known to be in training, unless somebody says so."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bench import plugins
from datasets.audit import AuditFinding, audit_table
from datasets.audit_record import load
from datasets.errors import UserError


def known_leaks(name: str) -> list[AuditFinding]:
    """The leaks of a data set: by name as its lists are now, by bytes and footage as its last audit found."""
    table = plugins.dataset(name).table()
    now = audit_table(table)
    checked = {each.check for each in now}
    found = [*now, *(each for each in load(table) if each.check not in checked)]
    return [each for each in found if each.severity == "leak"]


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
