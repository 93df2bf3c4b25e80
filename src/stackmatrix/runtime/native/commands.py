"""Runs the short commands that prepare the matrix, and asks servers small questions over HTTP."""

import http.client
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from stackmatrix.errors import UserError
from stackmatrix.runtime.native.ports import HOST

ANSWER_WITHIN_S = 5


def run(
    command: list[str],
    failure: str,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    user: str | None = None,
    text: str = "",
) -> str:
    """The standard output of a command that reads `text`; UserError with its own last words when it fails."""
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        env=environment,
        cwd=directory,
        user=user,
        extra_groups=None if user is None else [],
        umask=0o022,  # what one user makes, another may have to read
        check=False,
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"{failure}: {' / '.join(line.strip() for line in words[-3:]) or 'it said nothing'}")
    return done.stdout.strip()


def accepts(port: int) -> bool:
    """Whether something of this machine takes connections there."""
    try:
        socket.create_connection((HOST, port), timeout=ANSWER_WITHIN_S).close()
    except OSError:
        return False
    return True


def ask(port: int, path: str, method: Literal["GET", "POST"] = "GET") -> tuple[int, bytes]:
    """Status and body of a request on this machine; OSError or HTTPException when there is no proper answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def answers(port: int, path: str) -> bool:
    """Whether a GET on this machine gives 200."""
    try:
        return ask(port, path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False
