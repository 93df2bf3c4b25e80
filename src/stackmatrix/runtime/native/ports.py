"""Chooses TCP ports that nothing uses, out of the way of the ports that outgoing connections take."""

import random
import socket

from stackmatrix.errors import UserError

HOST = "127.0.0.1"
CHOICE = range(20000, 32768)
"""Below Linux's default range for outgoing connections: a port must still be free when its server starts again."""


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    for port in random.sample(CHOICE, 200):
        if is_free(port):
            return port
    raise UserError(f"no TCP port from {CHOICE.start} to {CHOICE.stop - 1} is free; stop what takes them")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed connections may linger
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
