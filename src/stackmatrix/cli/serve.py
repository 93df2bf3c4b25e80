"""`stackmatrix serve`: one stack with its upstreams, up until Ctrl-C: to try it with curl, and to work on it."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter

from stackmatrix.cli import values
from stackmatrix.cli.options import RUNTIME, STACK_FORMS, RuntimeChoice, names_of, option, repeated
from stackmatrix.cli.progress import stage
from stackmatrix.cli.shell import console
from stackmatrix.errors import UserError

PORT = values.COUNT.within("1", "65535", "8102")


def serve_stack(
    stack: Annotated[str, Parameter(metavar="STACK", help=STACK_FORMS, completer=names_of("stack"))],
    /,
    *,
    variant: Annotated[
        tuple[tuple[str, str], ...], repeated(values.key_value, "KEY=VALUE", "change a setting; repeatable")
    ] = (),
    port: Annotated[
        int | None, option(PORT, "PORT", "where to serve it, natively (default: the manifest's, else a free port)")
    ] = None,
    runtime: Annotated[RuntimeChoice, RUNTIME] = "auto",
) -> int:
    from stackmatrix.catalog.stacks import load_stacks, parse_variant
    from stackmatrix.runtime.select import choose

    wanted = parse_variant(joined(stack, [f"{key}={value}" for key, value in variant]), load_stacks())
    ports = {} if port is None else {wanted.stack.name: port}
    out = console()
    with choose(runtime, out.print, ports=ports) as running:
        with stage(out, f"bringing up {wanted.stack.name} and the upstreams"):
            running.up([wanted.stack])
        with running.service(wanted) as service:
            places = [(service.host, service.port)]
            if service.host != "127.0.0.1":  # then its container publishes the manifest's port
                places.insert(0, ("127.0.0.1", wanted.stack.port))
            urls = " and ".join(f"http://{host}:{port}/" for host, port in places)
            print(f"{wanted.label} serves at {urls}; Ctrl-C stops it", flush=True)
            with suppress(KeyboardInterrupt):
                while service.accepts():
                    time.sleep(1.0)  # between two looks
                raise UserError(f"{wanted.label} has ended:\n{running.logs(wanted.stack.name, 10)}")
    return 0


def joined(stack: str, settings: Sequence[str]) -> str:
    """Join a variant and settings in one word: `name[variant,key=value]`."""
    if not settings:
        return stack
    name, _, inner = stack.removesuffix("]").partition("[")
    return f"{name}[{','.join(filter(None, [inner, *settings]))}]"
