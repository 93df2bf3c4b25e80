"""Reads what `HdrHistogram.encode` writes, as any other tool would."""

import base64
import struct
import zlib

import numpy as np

from stackmatrix.load.histogram import COMPRESSED_COOKIE, DIGITS, HALF_BITS, HEADER, HIGHEST, PLAIN_COOKIE, SIZE


def decode(text: str) -> np.ndarray:
    """Return the counts per bucket."""
    data = base64.b64decode(text)
    plain = zlib.decompress(data[8:])
    cookie, length, offset, digits, lowest, highest, _ = HEADER.unpack_from(plain)
    assert struct.unpack_from(">ii", data)[0] == COMPRESSED_COOKIE
    assert (cookie, offset, digits, lowest, highest) == (PLAIN_COOKIE, 0, DIGITS, 1, HIGHEST)
    counts = unpack(plain[HEADER.size : HEADER.size + length])
    return np.array(counts + [0] * (SIZE - len(counts)), np.int64)


def unpack(payload: bytes) -> list[int]:
    counts: list[int] = []
    number = shift = 0
    for byte in payload:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            value = (number >> 1) ^ -(number & 1)
            counts.extend([value] if value >= 0 else [0] * -value)
            number = shift = 0
    return counts


def percentile(counts: np.ndarray, percent: float) -> float:
    """Return the nearest-rank percentile in seconds: the top of its bucket, as HdrHistogram gives it."""
    places = np.arange(SIZE, dtype=np.int64)
    shift = np.maximum((places >> HALF_BITS) - 1, 0)
    tops = ((places - (shift << HALF_BITS) + 1) << shift) - 1
    rank = max(int(np.ceil(round(int(counts.sum()) * percent / 100, 6))), 1)
    return int(tops[int(np.searchsorted(np.cumsum(counts), rank))]) / 1e6
