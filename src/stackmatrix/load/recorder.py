"""One row per request, packed as it ends into a plain `.npy` file; free of numpy, so that workers start fast."""

import struct
from enum import IntEnum
from io import FileIO
from pathlib import Path
from typing import Final

# instants are CLOCK_MONOTONIC seconds, as `time.monotonic` gives them
ROW_FIELDS: Final = (
    ("scheduled", "<f8"),  # when the request was due; latency counts from here
    ("sent", "<f8"),  # when its bytes were handed to the kernel; NaN when they never were
    ("first_byte", "<f8"),  # when the first of the answer was read; NaN when nothing came
    ("end", "<f8"),  # when it was over, one way or the other; NaN when it never was
    ("bytes", "<u4"),  # of the body that was received
    ("status", "<u2"),  # 0 when no head came
    ("kind", "<u2"),  # its place in the job
    ("verdict", "<u1"),  # an Ending
)

pack_row = struct.Struct("<4dI2HB").pack
latest_span = struct.Struct("<d16xd").unpack_from  # a row's `scheduled` and `end`
ROW_BYTES: Final = struct.calcsize("<4dI2HB")
HEADER_BYTES: Final = 256
NEVER: Final = float("nan")


class Ending(IntEnum):
    OK = 0
    STATUS = 1  # answered in full, with another status than the right one
    BODY = 2  # the right status, and another body than the right one
    TIMEOUT = 3
    CONNECT = 4  # no connection could be opened for it
    CLOSED = 5  # the connection was reset or closed before the answer was complete
    PROTOCOL = 6  # what came is not HTTP/1.1, or more than its head announced
    UNFINISHED = 7  # still under way, or still queued in the client, when the generator stopped


class Recorder:
    """Takes rows while the load runs; the hot path appends to `rows`, `flush` moves them to the file."""

    def __init__(self, path: Path) -> None:
        self.rows = bytearray()
        self.failed = 0
        self.strays = 0  # bytes that came on a connection without a request
        self.response_s: float | None = None  # of the request that ended last before the last flush
        self._written = 0
        self._file: FileIO = path.open("wb", buffering=0)
        self._file.write(npy_header(0))

    @property
    def count(self) -> int:
        return self._written + len(self.rows) // ROW_BYTES

    def take(
        self,
        ending: Ending,
        kind: int,
        scheduled: float,
        sent: float = NEVER,
        first_byte: float = NEVER,
        end: float = NEVER,
        size: int = 0,
        status: int = 0,
    ) -> None:
        """Add the row of any request; right answers in one piece append to `rows` themselves."""
        self.failed += ending != Ending.OK
        self.rows += pack_row(scheduled, sent, first_byte, end, size, status, kind, ending)

    def flush(self) -> None:
        """Write the rows taken so far, so that they outlive this process."""
        if self.rows:
            scheduled, end = latest_span(self.rows, len(self.rows) - ROW_BYTES)
            self.response_s = end - scheduled
        self._written += len(self.rows) // ROW_BYTES
        at = 0
        with memoryview(self.rows) as pending:
            while at < len(pending):
                with pending[at:] as rest:
                    at += self._file.write(rest)
        self.rows.clear()

    def close(self) -> None:
        """Write what is left, and the number of rows into the file's header."""
        self.flush()
        self._file.seek(0)
        self._file.write(npy_header(self._written))
        self._file.close()


def npy_header(rows: int) -> bytes:
    """Write the `.npy` header (format 1.0) of that many rows, always HEADER_BYTES long."""
    columns = [(name, code) for name, code in ROW_FIELDS]
    text = f"{{'descr': {columns!r}, 'fortran_order': False, 'shape': ({rows},), }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", HEADER_BYTES - 10) + text.ljust(HEADER_BYTES - 11).encode() + b"\n"
