"""Serves the fixtures by the machine's Nginx with the container's own configuration."""

import os
import re
import shutil
import signal
from dataclasses import dataclass

from stackmatrix.runtime.base import accepts
from stackmatrix.runtime.commands import run_command
from stackmatrix.runtime.native.ports import HOST, http_request
from stackmatrix.runtime.native.processes import Recipe
from stackmatrix.runtime.native.state import State

SBIN = os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin"])  # where Debian keeps Nginx: out of most users' PATH


@dataclass
class Nginx:
    executable: str
    state: State
    port: int
    asked: int = 0

    @property
    def description(self) -> str:
        told = run_command(["sh", "-c", '"$0" -v 2>&1', self.executable], "Nginx does not tell its version")
        return f"{told.rpartition('/')[2]}, the machine's"

    def recipe(self) -> Recipe:
        home = self.state.path("nginx")
        original = self.state.root / "upstream" / "nginx" / "nginx.conf"
        configuration = home / "nginx.conf"
        configuration.write_text(
            placed(original.read_text(encoding="utf-8"), f"{HOST}:{self.port}", str(self.state.root / "fixtures")),
            encoding="utf-8",
        )
        command = [self.executable, "-e", "stderr", "-p", str(home), "-c", str(configuration)]
        if os.geteuid() == 0:  # else its workers would be somebody who may not read the checkout
            command += ["-g", "user root;"]
        return Recipe(command, self.healthy, directory=home, stop_signal=signal.SIGQUIT)

    def healthy(self) -> bool:
        """Tell whether it takes connections; asks nothing, because it counts every question."""
        return accepts(HOST, self.port)

    def served(self) -> int:
        """Count the requests that it has had, without those that asked for this count."""
        self.asked += 1
        return int(http_request(self.port, "/status")[1].split()[9]) - self.asked


def find_nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path=SBIN)


def placed(configuration: str, address: str, root: str) -> str:
    """Put the container's configuration at another address, for another directory; all else as it is."""
    configuration = re.sub(r"(?m)^(\s*listen) \d+\b", lambda match: f"{match[1]} {address}", configuration)
    return re.sub(r"(?m)^(\s*root) [^;]+;", lambda match: f'{match[1]} "{root}";', configuration)
