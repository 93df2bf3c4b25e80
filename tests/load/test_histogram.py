"""The histogram is HdrHistogram's own, to the byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.load.histogram import HdrHistogram

SECONDS = st.lists(st.floats(0, 3600), min_size=1, max_size=200).map(np.array)


def test_another_implementation_encodes_the_same() -> None:
    seconds = np.array([0.0, 0.000001, 0.002047, 0.002048, 0.01, 0.01, 1.5, 3600.0])
    written_by_hdrh = "HISTFAAAADF4nJNpmSzMwMAgwAABzFCaEURcm7yEwf4DRICJ6ac8E9NBZZaVxUxfNzMyAQDCKAlo"
    assert HdrHistogram.of(seconds).encode() == written_by_hdrh
    decoded = HdrHistogram.decode(written_by_hdrh)
    assert decoded.total == 8
    assert [decoded.percentile(percent) for percent in (25, 50, 75, 87.5)] == [1e-6, 0.002049, 0.010007, 1.500159]


@given(SECONDS)
def test_encoding_keeps_every_count(seconds: np.ndarray) -> None:
    histogram = HdrHistogram.of(seconds)
    np.testing.assert_array_equal(HdrHistogram.decode(histogram.encode()).counts, histogram.counts)


@given(SECONDS, SECONDS)
def test_merged_is_pooled(one: np.ndarray, other: np.ndarray) -> None:
    merged = HdrHistogram.of(one) + HdrHistogram.of(other)
    np.testing.assert_array_equal(merged.counts, HdrHistogram.of(np.concatenate([one, other])).counts)


@given(SECONDS, st.floats(1, 100))
def test_percentiles_are_right_to_a_thousandth(seconds: np.ndarray, percent: float) -> None:
    rank = max(int(np.ceil(round(len(seconds) * percent / 100, 6))), 1)
    exact = float(np.sort(seconds)[rank - 1])
    assert HdrHistogram.of(seconds).percentile(percent) == pytest.approx(exact, rel=0.001, abs=1.1e-6)


def test_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="not a compressed HdrHistogram"):
        HdrHistogram.decode("AAAAAAAAAAA=")
