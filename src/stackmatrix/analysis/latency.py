"""Latencies of the expected answers, from the records of requests."""

from collections.abc import Sequence

import numpy as np

from stackmatrix.load import summary
from stackmatrix.load.latency import Latency
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import Records, read_records
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.trial import Trial


def right_answers(records: Records, start: float, end: float) -> Records:
    """Select the expected answers that ended in the window: the sample of latencies, CPU and bytes per request."""
    inside: Records = records[summary.within(records["end"], start, end) & (records["verdict"] == Ending.OK)]
    return inside


def pooled_latency(directory: RunDirectory, trials: Sequence[Trial]) -> Latency:
    parts = [
        right_answers(
            read_records(directory.path / trial.client.records), trial.client.window_start, trial.client.window_end
        )
        for trial in trials
        if trial.client.records is not None
    ]
    if not parts and len(trials) == 1:
        return trials[0].client.latency_ms  # of a tool that keeps no records
    return summary.latency_ms(np.concatenate(parts)) if parts else Latency()
