"""HdrHistogram: latencies in a few kilobytes, to be kept, merged and read by any other tool that knows its format.

Buckets and encoding are those of HdrHistogram (https://github.com/HdrHistogram/HdrHistogram, V2): here with a unit of
1 µs, three significant digits, up to one hour.
"""

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

DIGITS: Final = 3
HIGHEST: Final = 3_600_000_000  # µs
HALF_BITS: Final = 10  # of 2 × 10^DIGITS, rounded up to a power of two, halved
HALF: Final = 1 << HALF_BITS
PLAIN_COOKIE: Final = 0x1C849313
COMPRESSED_COOKIE: Final = 0x1C849314
HEADER: Final = struct.Struct(">iiiiqqd")


@dataclass(frozen=True)
class HdrHistogram:
    """Counts per bucket; buckets are as wide as a thousandth of their value."""

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, seconds: NDArray[np.float64]) -> Self:
        """Count latencies in seconds."""
        values = np.clip(np.rint(seconds * 1e6), 0, HIGHEST).astype(np.int64)
        return cls(np.bincount(bucket(values), minlength=SIZE))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.counts + other.counts)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float:
        """Return the nearest-rank percentile in seconds: the top of its bucket, as HdrHistogram gives it."""
        rank = max(int(np.ceil(round(self.total * percent / 100, 6))), 1)
        return int(tops()[int(np.searchsorted(np.cumsum(self.counts), rank))]) / 1e6

    def encode(self) -> str:
        """Write HdrHistogram's own form: V2, compressed, base64."""
        filled = np.flatnonzero(self.counts)
        payload = pack(self.counts[: filled[-1] + 1 if len(filled) else 0].tolist())
        plain = HEADER.pack(PLAIN_COOKIE, len(payload), 0, DIGITS, 1, HIGHEST, 1.0) + payload
        packed = zlib.compress(plain)
        return base64.b64encode(struct.pack(">ii", COMPRESSED_COOKIE, len(packed)) + packed).decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote; ValueError for another form, unit, range or precision."""
        data = base64.b64decode(text)
        cookie, _ = struct.unpack_from(">ii", data)
        if cookie != COMPRESSED_COOKIE:
            raise ValueError("not a compressed HdrHistogram V2")
        plain = zlib.decompress(data[8:])
        cookie, length, offset, digits, lowest, highest, _ = HEADER.unpack_from(plain)
        if (cookie, offset, digits, lowest, highest) != (PLAIN_COOKIE, 0, DIGITS, 1, HIGHEST):
            raise ValueError("not an HdrHistogram of this unit, range and precision")
        counts = unpack(plain[HEADER.size : HEADER.size + length])
        return cls(np.array(counts + [0] * (SIZE - len(counts)), np.int64))


def bucket(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place each value in a bucket: HALF buckets per power of two, the first two powers in steps of one."""
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    shift = np.maximum(bits - (HALF_BITS + 1), 0)
    return np.asarray((shift << HALF_BITS) + (values >> shift))


def tops() -> NDArray[np.int64]:
    places = np.arange(SIZE, dtype=np.int64)
    shift = np.maximum((places >> HALF_BITS) - 1, 0)
    return np.asarray(((places - (shift << HALF_BITS) + 1) << shift) - 1)


SIZE: Final = int(bucket(np.array([HIGHEST]))[0]) + 1


def pack(counts: list[int]) -> bytes:
    """Encode counts as ZigZag LEB128, a run of zeros as its negative length."""
    out = bytearray()
    zeros = 0
    for count in [*counts, None]:
        if count == 0:
            zeros += 1
            continue
        for number in ([-zeros] if zeros else []) + ([] if count is None else [count]):
            left = (number << 1) ^ (number >> 63)
            while left > 0x7F:
                out.append(left & 0x7F | 0x80)
                left >>= 7
            out.append(left)
        zeros = 0
    return bytes(out)


def unpack(payload: bytes) -> list[int]:
    """Decode what `pack` wrote."""
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
