"""SERVER=gunicorn: Gunicorn's arbiter over Uvicorn's worker, which is set as `serve` sets Uvicorn alone."""

from uvicorn_worker import UvicornWorker

import shutdown  # noqa: F401
from settings import HOST, PORT, SETTINGS, STACK

if SETTINGS["worker_timeout"] < 2:
    raise SystemExit(f"{STACK}: WORKER_TIMEOUT=1: must be 2 or more; Uvicorn's worker gives a sign only every second")


class Worker(UvicornWorker):
    """The same event loop and parser."""

    CONFIG_KWARGS = {"loop": "uvloop", "http": "httptools", "access_log": False}  # noqa: RUF012


bind = f"{HOST}:{PORT}"
worker_class = Worker
workers = SETTINGS["workers"]
# For Gunicorn's own threaded worker. Uvicorn's has one event loop whatever this says, and the threads of `def`
# endpoints are AnyIO's. It can be set because it often is, in the hope that it does something.
threads = SETTINGS["gunicorn_threads"]
# A worker that gives no sign for so long, because something blocks its loop, is killed with all its connections.
timeout = SETTINGS["worker_timeout"]
graceful_timeout = 6600  # the longest request is 100 waits of 60 s
keepalive = 75
backlog = 4096
loglevel = "warning"
control_socket_disable = True
