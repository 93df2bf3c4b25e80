"""One psql that stays open: a statement then takes a millisecond, not a new process and a new session."""

import subprocess
from collections.abc import Mapping, Sequence

from stackmatrix.errors import UserError

OPTIONS = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
END_OF_ANSWER = "-- end of answer --"


class Psql:
    """A session with the database; it ends with its first failed statement."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is the harness's business
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, statements: str) -> str:
        """Run statements; rows with columns separated by `|`, UserError with PostgreSQL's words when one fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        lines: list[str] = []
        try:
            self._process.stdin.write(f"{statements.rstrip().rstrip(';')};\n\\echo {END_OF_ANSWER}\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.rstrip() == END_OF_ANSWER:
                    return "\n".join(lines)
                lines.append(line.rstrip("\n"))
        except BrokenPipeError:
            pass
        self.close()
        words = " ".join(lines) or "it is gone"
        raise UserError(f"PostgreSQL refused {statements.strip().splitlines()[0]!r}: {words}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
