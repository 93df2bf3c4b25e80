"""Reads the record files of the generator as numpy columns, and merges those of its shards."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackmatrix.errors import UserError
from stackmatrix.load.recorder import HEADER_BYTES, ROW_FIELDS, npy_header

ROW = np.dtype(list(ROW_FIELDS))

Floats = NDArray[np.float64]

Records = NDArray[np.void]  # a structured array of `ROW`: `records["end"]` is a column


def read_records(path: Path) -> Records:
    """Read a record file, to its last whole row where its writer was killed; UserError when it is gone."""
    if not path.exists():
        raise UserError(f"{path}: the records are gone, and without them its requests cannot be judged again")
    rows = max(path.stat().st_size - HEADER_BYTES, 0) // ROW.itemsize
    return np.fromfile(path, ROW, count=rows, offset=HEADER_BYTES)


def write_records(path: Path, records: Records) -> None:
    with path.open("wb") as file:
        file.write(npy_header(len(records)))
        records.tofile(file)


def merge_records(parts: Sequence[Path], path: Path) -> Records:
    """Merge the shards' files into one in order of end (what never ended comes last), and remove them."""
    if list(parts) == [path]:
        return read_records(path)
    records = np.concatenate([read_records(part) for part in parts])
    records = records[np.argsort(records["end"], kind="stable")]
    write_records(path, records)
    for part in parts:
        part.unlink()
    return records
