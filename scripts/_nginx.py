"""The machine's Nginx with one fixed answer: what benchmark and tests hold the generator against."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NGINX: Final = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
NGINX_CONF: Final = """
daemon off; pid {root}/nginx.pid; error_log {root}/error.log; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests {keepalive_requests}; keepalive_timeout 10m; default_type text/plain;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }}
}}
"""


@contextlib.contextmanager
def nginx(body: str, *, cpu: int | None = None, keepalive_requests: int = 1_000_000_000) -> Iterator[int]:
    """Run the machine's Nginx, answering every request with `body`, and yield its port; FileNotFoundError if none."""
    if NGINX is None:
        raise FileNotFoundError("nginx is not installed")
    with tempfile.TemporaryDirectory(prefix="nginx-") as root, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        config = Path(root, "nginx.conf")
        config.write_text(NGINX_CONF.format(root=root, port=port, body=body, keepalive_requests=keepalive_requests))
        pin = [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
        with subprocess.Popen([*pin, NGINX, "-p", root, "-e", f"{root}/error.log", "-c", str(config)]) as process:
            try:
                await_port(port, process)
                yield port
            finally:
                process.terminate()


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process listens; ChildProcessError when it ends instead."""
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        if process.poll() is not None:
            raise ChildProcessError(f"exit code {process.returncode}")
        time.sleep(0.01)
