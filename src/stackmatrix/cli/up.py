"""`up.py`: bring up stacks and their upstreams in containers, and leave them up."""

import argparse

from stackmatrix.catalog.stacks import load_stacks
from stackmatrix.cli.shell import command, console
from stackmatrix.errors import pick
from stackmatrix.runtime.docker import DockerRuntime


def main() -> None:
    """Parse the arguments and bring everything asked for up."""
    parser = argparse.ArgumentParser(prog="up.py", description=__doc__)
    parser.add_argument("stack", nargs="*", help="names of stacks; none means all")
    arguments = parser.parse_args()

    def bring_up() -> int:
        stacks = load_stacks()
        out = console()
        wanted = [pick("stack", name, stacks) for name in arguments.stack] or stacks.every(out.print)
        with DockerRuntime(out.print) as runtime:
            runtime.up(wanted)
            runtime.keep()
        for stack in wanted:
            out.print(f"{stack.name:<24} http://127.0.0.1:{stack.port}/")
        return 0

    command(bring_up)
