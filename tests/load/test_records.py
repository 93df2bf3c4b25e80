"""Record files: their rows survive the way to disk, a killed writer, and merging."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.load import records
from stackmatrix.load.recorder import HEADER_BYTES, NEVER, ROW_BYTES, Ending, Recorder, npy_header

ROWS = st.lists(
    st.tuples(
        st.sampled_from(Ending),
        st.integers(0, 2**16 - 1),
        st.floats(0, 1e9),
        st.floats(0, 1e9) | st.just(NEVER),
        st.floats(0, 1e9) | st.just(NEVER),
        st.floats(0, 1e9) | st.just(NEVER),
        st.integers(0, 2**32 - 1),
        st.integers(0, 999),
    ),
    max_size=30,
)


def test_a_row_is_small() -> None:
    assert ROW_BYTES == records.ROW.itemsize <= 53


@given(rows=ROWS)
def test_rows_survive_the_way_to_disk(rows: list[tuple[float, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("records") / "r.npy"
    recorder = Recorder(file)
    for number, (verdict, kind, *rest) in enumerate(rows):
        recorder.take(Ending(verdict), int(kind), *rest)  # type: ignore[arg-type]
        if number % 7 == 3:
            recorder.flush()
    assert recorder.count == len(rows)
    recorder.close()
    loaded = records.read_records(file)
    assert loaded.tobytes() == np.load(file).tobytes()
    order = ("verdict", "kind", "scheduled", "sent", "first_byte", "end", "bytes", "status")
    for got, wanted in zip(loaded, rows, strict=True):
        np.testing.assert_equal([got[name] for name in order], list(wanted))
    assert recorder.failed == sum(row[0] != Ending.OK for row in rows)


def test_what_a_killed_writer_wrote_is_read(tmp_path: Path) -> None:
    file = tmp_path / "r.npy"
    recorder = Recorder(file)
    for number in range(5):
        recorder.take(Ending.OK, 0, float(number))
    recorder.flush()
    file.write_bytes(file.read_bytes()[:-3])
    assert records.read_records(file)["scheduled"].tolist() == [0, 1, 2, 3]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "r.npy").write_bytes(b"")
    assert len(records.read_records(tmp_path / "r.npy")) == 0


def test_shards_are_merged_by_end(tmp_path: Path) -> None:
    parts = [tmp_path / "a", tmp_path / "b"]
    for part, ends in zip(parts, ([1.0, 4.0, NEVER], [2.0, 3.0]), strict=True):
        recorder = Recorder(part)
        for end in ends:
            recorder.take(Ending.OK, 0, 0.0, end=end)
        recorder.close()
    merged = records.merge_records(parts, tmp_path / "r.npy")
    assert merged["end"][:4].tolist() == [1, 2, 3, 4]
    assert math.isnan(merged["end"][4])
    assert np.load(tmp_path / "r.npy").tobytes() == merged.tobytes()
    assert not any(part.exists() for part in parts)


@given(st.integers(0, 10**14))
def test_the_header_has_one_length(rows: int) -> None:
    assert len(npy_header(rows)) == HEADER_BYTES
