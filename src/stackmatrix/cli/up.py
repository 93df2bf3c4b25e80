"""`stackmatrix up`: bring up stacks and the upstreams in containers, and leave them up."""

from typing import Annotated

from cyclopts import Parameter

from stackmatrix.cli.options import names_of
from stackmatrix.cli.progress import stage
from stackmatrix.cli.shell import console
from stackmatrix.errors import pick


def bring_up(
    *stack: Annotated[
        str, Parameter(metavar="STACK", help="names of stacks; none means all", completer=names_of("stack"))
    ],
) -> int:
    from stackmatrix.catalog.stacks import load_stacks
    from stackmatrix.runtime.docker import DockerRuntime

    stacks = load_stacks()
    out = console()
    wanted = [pick("stack", name, stacks) for name in stack] or stacks.every(out.print)
    with DockerRuntime(out.print) as runtime:
        with stage(out, f"bringing up {', '.join(each.name for each in wanted)} and the upstreams"):
            runtime.up(wanted)
        runtime.keep()
    for each in wanted:
        out.print(f"{each.name:<24} http://127.0.0.1:{each.port}/")
    return 0
