"""HdrHistogram V2 (https://github.com/HdrHistogram/HdrHistogram): unit 1 µs, three digits, up to one hour."""

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

    def encode(self) -> str:
        """Write HdrHistogram's own form: V2, compressed, base64."""
        filled = np.flatnonzero(self.counts)
        payload = pack(self.counts[: filled[-1] + 1 if len(filled) else 0].tolist())
        plain = HEADER.pack(PLAIN_COOKIE, len(payload), 0, DIGITS, 1, HIGHEST, 1.0) + payload
        packed = zlib.compress(plain)
        return base64.b64encode(struct.pack(">ii", COMPRESSED_COOKIE, len(packed)) + packed).decode()


def bucket(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place each value in a bucket: 2^HALF_BITS buckets per power of two, the first two powers in steps of one."""
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    shift = np.maximum(bits - (HALF_BITS + 1), 0)
    return np.asarray((shift << HALF_BITS) + (values >> shift))


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
