"""Where the native runtime keeps what it makes, and the lock that keeps two harnesses of one checkout apart."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from stackmatrix.errors import UserError
from stackmatrix.linux import lives

LEFT_BEHIND_WITHIN_S = 20


class State:
    """`.state/native/` of a checkout; all of it can be deleted while nothing runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / ".state" / "native"
        self._lock: TextIO | None = None

    @property
    def lock(self) -> int:
        """The lock's descriptor, for those that must hold it as long as they live."""
        assert self._lock is not None
        return self._lock.fileno()

    def acquire(self) -> None:
        """Take the lock; UserError when another harness holds it. Waits for the remains of one that was killed."""
        if self._lock is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        handle = (self.directory / "lock").open("a+")
        deadline = time.monotonic() + LEFT_BEHIND_WITHIN_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                handle.seek(0)
                owner = handle.read().strip()
                if time.monotonic() > deadline or not owner or lives(int(owner)):
                    handle.close()
                    raise UserError(
                        f"the harness with process id {owner or '?'} runs the matrix of this checkout already; "
                        "wait until it ends, or stop it"
                    ) from None
                time.sleep(0.1)  # its supervisors hold the lock until everything below them is gone
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        self._lock = handle

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

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
