"""Where the native runtime keeps what it makes."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from stackmatrix.runtime.lock import Lock


class State:
    """`.state/native/` of a checkout; all of it can be deleted while nothing runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / ".state" / "native"
        self.lock = Lock(self.directory / "lock", "the matrix of this checkout")

    def path(self, *parts: str) -> Path:
        directory = self.directory.joinpath(*parts)
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def short_digest(*contents: bytes | str | Iterable[Path]) -> str:
    """Compute twelve digits that change when any of these texts or files does."""
    total = hashlib.sha256()
    for content in contents:
        if isinstance(content, str | bytes):
            total.update(content.encode() if isinstance(content, str) else content)
        else:
            for path in content:
                total.update(path.name.encode() + b"\0" + path.read_bytes())
        total.update(b"\0")
    return total.hexdigest()[:12]
