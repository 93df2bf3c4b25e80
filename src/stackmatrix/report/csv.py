"""`report.csv`: one row per arm, every number as `run.json` has it."""

import csv
import io
from typing import Any

from stackmatrix.formatting import each_text
from stackmatrix.report import slo
from stackmatrix.report.arms import bound_of
from stackmatrix.report.metrics import METRICS
from stackmatrix.report.view import MatrixCell, View
from stackmatrix.results.slo import ServiceLevel
from stackmatrix.results.trial import Errors

LEVEL_COLUMNS = ("level", *(column.key for column in slo.SLO_COLUMNS), "level_low", "level_high", "level_words")
INTERVALS = ("goodput_low", "goodput_high", "ratio", "ratio_low", "ratio_high")


def run_csv(view: View) -> str:
    """Write `report.csv`; what is missing is empty."""
    text = io.StringIO(newline="")
    found = slo.by_arm(view.run.levels)
    rows = [csv_row(cell) | level_row(found.get(cell.arm.id)) for cell in view.cells]
    writer = csv.DictWriter(text, [*columns(), *LEVEL_COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(each_text(rows, no_formula))
    return text.getvalue()


def no_formula(word: str) -> str:
    """Keep a spreadsheet from computing a cell of text."""
    return f"'{word}" if word.startswith(("=", "+", "-", "@", "\t", "\r")) else word


def columns() -> list[str]:
    first = ["arm", "workload", "params", "load", "stack", "variant", "valid", "rank", "rounds", "repeated"]
    errors = [f"failed_{name}" for name in Errors.__slots__]
    return [*first, *(metric.key for metric in METRICS), *INTERVALS, "baseline", "bound", *errors, "reasons"]


def csv_row(cell: MatrixCell) -> dict[str, Any]:
    arm = cell.arm
    goodput = (arm.goodput and arm.goodput.ci95) or ("", "")
    ratio = (arm.ratio and arm.ratio.ci95) or ("", "")
    return {
        "arm": arm.id,
        "workload": arm.workload,
        "params": arm.params_text,
        "load": arm.load.label,
        "stack": arm.stack,
        "variant": cell.name,
        "valid": str(arm.valid).lower(),
        "rank": arm.rank,
        "rounds": arm.rounds,
        "repeated": arm.repeated,
        **{metric.key: metric.value(arm) for metric in METRICS},
        **dict(zip(INTERVALS, (*goodput, arm.ratio.value if arm.ratio else "", *ratio), strict=True)),
        "baseline": arm.ratio.baseline if arm.ratio else "",
        "bound": bound_of(arm),
        **{f"failed_{name}": getattr(arm.errors, name) for name in Errors.__slots__},
        "reasons": "; ".join(f"{reason.kind}: {reason.detail}" for reason in dict.fromkeys(arm.reasons)),
    }


def level_row(found: ServiceLevel | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(LEVEL_COLUMNS, "")
    low, high = (found.rate and found.rate.ci95) or ("", "")
    figures = {column.key: column.value(found) for column in slo.SLO_COLUMNS}
    return {"level": found.level, **figures, "level_low": low, "level_high": high, "level_words": found.words}
