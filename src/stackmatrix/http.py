"""An HTTP request and its right answer, the same type for catalogue, contract checks, observers and load generator."""

from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]

CHUNK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Expected:
    """The right answer to a request.

    The body must be `prefix` exactly when `suffix` is None, else `prefix`, some ASCII digits, `suffix`. A `status` of 0
    takes any 2xx, a `prefix` of None any body.
    """

    status: int = 0
    prefix: bytes | None = None
    suffix: bytes | None = None

    def __post_init__(self) -> None:
        if self.suffix is not None and self.prefix is None:
            raise ValueError("an expected body with a suffix needs a prefix")

    def has_status(self, status: int) -> bool:
        return status == self.status or (self.status == 0 and 200 <= status < 300)

    def matches(self, status: int, body: bytes) -> bool:
        if status != self.status and not self.has_status(status):
            return False
        prefix, suffix = self.prefix, self.suffix
        if suffix is None or prefix is None:
            return body == prefix or prefix is None
        return (
            body.startswith(prefix) and body.endswith(suffix) and body[len(prefix) : len(body) - len(suffix)].isdigit()
        )

    @property
    def example(self) -> bytes:
        return (self.prefix or b"") + (b"" if self.suffix is None else b"1" + self.suffix)


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, and the answer that is right.

    `Host` is added unless it is among the headers; `Content-Length` or chunked framing to a body unless a header
    declares it.
    """

    method: str
    target: str
    body: bytes | None = None
    headers: Headers = ()
    expected: Expected = Expected()
    chunked: bool = False
    version: str = "1.1"

    def __str__(self) -> str:
        target = self.target if len(self.target) <= 80 else self.target[:79] + "…"
        return f"{self.method} {target}"

    def header(self, name: str) -> str | None:
        """Return the value of a header, named in lower case; None when it is not among the headers."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def encode(self, host: str) -> bytes:
        headers = [*self.headers] if self.header("host") is not None else [("Host", host), *self.headers]
        payload = self.body or b""
        if self.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
            starts = range(0, len(payload), CHUNK_BYTES)
            payload = b"".join(chunk(payload[start : start + CHUNK_BYTES]) for start in starts) + chunk(b"")
        elif self.body is not None and self.header("content-length") is None:
            headers.append(("Content-Length", str(len(payload))))
        lines = [f"{self.method} {self.target} HTTP/{self.version}", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode() + payload


def chunk(payload: bytes) -> bytes:
    """Frame one chunk of a chunked body; the empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
