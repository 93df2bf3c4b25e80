"""The lock that keeps two harnesses from the same servers, on either runtime."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from stackmatrix.errors import UserError
from stackmatrix.linux import lives

LEFT_BEHIND_WITHIN_S = 20


class Lock:
    """A file that one harness holds, and whatever inherits its descriptor; the kernel frees it with the last of them.

    `what` is run by whoever holds it.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._file: TextIO | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    @property
    def descriptor(self) -> int:
        """For those that must hold the lock as long as they live."""
        assert self._file is not None
        return self._file.fileno()

    def acquire(self) -> None:
        """Take it; UserError when another harness holds it. Waits for the remains of one that was killed."""
        deadline = time.monotonic() + LEFT_BEHIND_WITHIN_S
        while not self.held and not self._take():
            owner = self._owner()
            if time.monotonic() > deadline or (owner and lives(int(owner))):
                raise UserError(
                    f"the harness with process id {owner or '?'} runs {self._what} already; wait until it ends, or "
                    "stop it"
                )
            time.sleep(0.1)  # its supervisors or its watchdog hold the lock until everything it started is gone

    def release(self) -> None:
        """Let others in, and leave no file."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _take(self) -> bool:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+")
        except OSError as error:
            raise UserError(f"{self._path}: {error.strerror}; another user's harness has left it") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino != self._path.stat().st_ino:  # its last holder has removed it meanwhile
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            file.close()
            return False
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file
        return True

    def _owner(self) -> str:
        """Read who holds it; empty when it changes hands just now."""
        with suppress(FileNotFoundError):
            return self._path.read_text(encoding="utf-8").strip()
        return ""
