"""Connections, counted by the process that holds them."""

import contextlib
import os
import socket
import subprocess
import sys

from stackmatrix.meter.sockets import connection_counts

HOLDER = r"""
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
child = os.fork()
if child:
    print(server.getsockname()[1], os.getpid(), child, flush=True)
held = [server.accept() for _ in range(3 if child else 1)]
os.write(1, b"held\n")
sys.stdin.read()
"""


def test_connections_are_counted_by_the_process_that_holds_them() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        port, parent, child = map(int, program.stdout.readline().split())
        with contextlib.ExitStack() as clients:
            for _ in range(4):
                clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert [program.stdout.readline() for _ in range(2)] == ["held\n"] * 2
            assert connection_counts([parent, child, os.getpid()], port) == [3, 1]
            assert connection_counts([child], port) == [1]
            assert connection_counts([os.getpid()], port) == []
        program.stdin.close()
    assert connection_counts([parent, child], port) == []
