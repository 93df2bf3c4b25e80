"""What the command-line tools have in common."""

import functools
import math
import re
import subprocess
from collections.abc import Callable
from typing import Final

from stackmatrix.errors import UserError

PATIENCE_S: Final = 20.0


def version_by(argument: str, pattern: str) -> Callable[[str], str]:
    """How a binary's version is asked for: by an argument, and found in what it says by a pattern."""

    @functools.cache
    def version(binary: str) -> str:
        said = subprocess.run([binary, argument], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        found = re.search(pattern, said.stdout + said.stderr, re.M)
        if found is None:
            raise UserError(f"{binary} {argument}: names no version")
        return found[1]

    return version


def whole_s(seconds: float) -> int:
    """The whole seconds that a tool is given."""
    return max(1, math.ceil(seconds))
