"""The histogram is HdrHistogram's own, to the byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.load.histogram import HdrHistogram

from .hdr import decode, percentile

SECONDS = st.lists(st.floats(0, 3600), min_size=1, max_size=200).map(np.array)


def test_another_implementation_encodes_the_same() -> None:
    seconds = np.array([0.0, 0.000001, 0.002047, 0.002048, 0.01, 0.01, 1.5, 3600.0])
    written_by_hdrh = "HISTFAAAADF4nJNpmSzMwMAgwAABzFCaEURcm7yEwf4DRICJ6ac8E9NBZZaVxUxfNzMyAQDCKAlo"
    assert HdrHistogram.of(seconds).encode() == written_by_hdrh
    decoded = decode(written_by_hdrh)
    assert decoded.sum() == 8
    assert [percentile(decoded, at) for at in (25, 50, 75, 87.5)] == [1e-6, 0.002049, 0.010007, 1.500159]


@given(SECONDS)
def test_encoding_keeps_every_count(seconds: np.ndarray) -> None:
    histogram = HdrHistogram.of(seconds)
    np.testing.assert_array_equal(decode(histogram.encode()), histogram.counts)


@given(SECONDS, st.floats(1, 100))
def test_percentiles_are_right_to_a_thousandth(seconds: np.ndarray, percent: float) -> None:
    rank = max(int(np.ceil(round(len(seconds) * percent / 100, 6))), 1)
    exact = float(np.sort(seconds)[rank - 1])
    assert percentile(HdrHistogram.of(seconds).counts, percent) == pytest.approx(exact, rel=0.001, abs=1.1e-6)
