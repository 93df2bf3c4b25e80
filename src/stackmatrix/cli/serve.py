"""`serve.py`: one stack with its upstreams, up until Ctrl-C: to try it with curl, and to work on it."""

import argparse
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.cli.shell import command, console
from stackmatrix.errors import UserError
from stackmatrix.runtime import select
from stackmatrix.runtime.base import Service

LOG_LINES = 10
LOOK_EVERY_S = 1.0


def main() -> None:
    """Parse the arguments, bring the stack up, tell where it is, stop everything at the end."""
    parser = argparse.ArgumentParser(prog="serve.py", description=__doc__)
    parser.add_argument("stack", metavar="STACK", help="NAME, NAME[VARIANT] or NAME[KEY=VALUE,…]")
    parser.add_argument("--variant", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    parser.add_argument("--port", type=int, help="where to serve it (native only; a free port when not given)")
    select.add_option(parser)
    arguments = parser.parse_args()

    def serve() -> int:
        variant = parse_variant(joined(arguments.stack, arguments.variant), load_stacks())
        ports = {} if arguments.port is None else {variant.stack.name: arguments.port}
        out = console()
        with select.choose(arguments.runtime, out.print, ports=ports) as runtime:
            runtime.up([variant.stack])
            with runtime.service(variant) as service:
                print(f"{variant.label} serves at {' and '.join(urls(service))}; Ctrl-C stops it", flush=True)
                with suppress(KeyboardInterrupt):
                    while accepts(service):
                        time.sleep(LOOK_EVERY_S)  # between two looks
                    raise UserError(f"{variant.label} has ended:\n{runtime.logs(variant.stack.name, LOG_LINES)}")
        return 0

    command(serve)


def joined(stack: str, settings: Sequence[str]) -> str:
    """The variant as one word: `name[variant]` and more settings make `name[variant,key=value]`."""
    if not settings:
        return stack
    name, _, inner = stack.removesuffix("]").partition("[")
    return f"{name}[{','.join(filter(None, [inner, *settings]))}]"


def urls(service: Service) -> list[str]:
    """Where it answers: itself, and the port that its container publishes."""
    places = [(service.host, service.port)]
    if service.host != "127.0.0.1":
        places.insert(0, ("127.0.0.1", service.stack.port))
    return [f"http://{host}:{port}/" for host, port in places]


def accepts(service: Service) -> bool:
    """Whether it still takes connections."""
    try:
        socket.create_connection((service.host, service.port), timeout=5).close()
    except OSError:
        return False
    return True
