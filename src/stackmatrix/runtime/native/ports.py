"""TCP ports of this machine: which are free, and what answers there."""

import http.client
import random
import socket
from typing import Literal

from stackmatrix.errors import UserError

HOST = "127.0.0.1"
ANSWER_WITHIN_S = 5
# below Linux's default range for outgoing connections: a port must still be free when its server starts again
CHOICE = range(20000, 32768)


def free_port() -> int:
    """Choose a port that nothing listens on, out of the way of those that outgoing connections take."""
    for port in random.sample(CHOICE, 200):
        if is_free(port):
            return port
    raise UserError(f"no TCP port from {CHOICE.start} to {CHOICE.stop - 1} is free; stop what takes them")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed connections may linger
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def http_request(port: int, path: str, method: Literal["GET", "POST"] = "GET") -> tuple[int, bytes]:
    """Send a request; status and body, OSError or HTTPException when there is no proper answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def serves(port: int, path: str) -> bool:
    try:
        return http_request(port, path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False
