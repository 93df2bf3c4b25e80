"""Reconcile what a trial's answers imply with what database, upstream and file server counted."""

from stackmatrix.catalog.workloads import Effects
from stackmatrix.measure.server_side import growth
from stackmatrix.meter.upstreams import Counts
from stackmatrix.results.trial import LedgerLine


def reconcile(
    effects: Effects, before: Counts, after: Counts, right: int, doubtful: int, equal_work: bool
) -> list[LedgerLine]:
    """Compare `right` answers of `effects` each, warm-up included, with the growth of the upstreams' counts.

    A doubtful request, sent and not answered as it should be, may or may not have had its effect: that is the slack.
    Without `equal_work` the variant may send other statements on purpose; they are counted all the same.
    """
    sides = {
        "SQL statements": (effects.statements, growth(before.statements, after.statements), equal_work),
        "new rows": (effects.rows, after.rows - before.rows, True),
        "upstream calls": (effects.upstream, after.upstream - before.upstream, True),
        "files from Nginx": (effects.fixtures, after.fixtures - before.fixtures, True),
    }
    return [
        LedgerLine(what, right * each, counted, doubtful * each, binding)
        for what, (each, counted, binding) in sides.items()
    ]
