"""A plan's requests taken apart again, for tools that want a URL, headers and a body instead of bytes."""

from dataclasses import dataclass
from functools import lru_cache

from stackmatrix.load.job import FRESH, Exchange, LoadJob


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `headers` as they are sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; None when it is not sent."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def besides(self, *names: str) -> list[str]:
        """The headers but those that a tool writes itself, each as `Name: value`."""
        return [f"{key}: {value}" for key, value in self.headers if key.lower() not in names]


@lru_cache(maxsize=4096)
def parse(request: bytes) -> Asked:
    """The inverse of `plan.render`."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = ((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Asked(method, target, tuple(headers), body)


def filled(exchange: Exchange) -> Asked:
    """The request with its FRESH places filled once and for all."""
    return parse(exchange.fresh(0).request)


def varies(plan: LoadJob) -> bool:
    """Whether each request is to have content of its own."""
    return any(FRESH in exchange.request for kind in plan.kinds for exchange in kind.exchanges)


def authority(plan: LoadJob) -> str:
    """Host and port as a URL has them."""
    return f"[{plan.host}]:{plan.port}" if ":" in plan.host else f"{plan.host}:{plan.port}"


def url(plan: LoadJob, target: str = "") -> str:
    """Where the plan's requests go."""
    return f"http://{authority(plan)}{target}"


def rightful(exchange: Exchange, status: int) -> bool:
    """Whether an answer has the right status."""
    return status == exchange.status if exchange.status else 200 <= status < 300
