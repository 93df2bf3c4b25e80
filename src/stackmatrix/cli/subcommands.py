"""Lists the subcommands of `stackmatrix`, the words of their help, and how each is typed here."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "stackmatrix"


@dataclass(frozen=True)
class Subcommand:
    """One subcommand, its function imported only when it runs or when its own help is asked for."""

    name: str
    function: str
    summary: str
    takes: str  # what follows its name
    script: str  # its door in scripts/, for a checkout without an active environment
    more: str = ""  # what its help says below the options; `$` stands for the command as it was typed
    needs_checkout: bool = True


SUBCOMMANDS = (
    Subcommand(
        "run",
        "run:time_matrix",
        "Time stacks under workloads, all in the same way, and print the matrix.",
        "[OPTIONS]",
        "check-performance.py",
        """Examples:
  $                                      the whole matrix: ten minutes of timing
  $ --stack fastapi-sync --stack 'fastapi-sync[threads=100]' --workload http
  $ --workload http --param ms=1000 --users 500 --duration 10 --rounds 1
  $ --workload json-small --users 1,8,32,128
  $ --workload notes-read --users 64 --rate 500 --arrivals poisson
  $ --workload http --slo 'p99<200ms' --budget 20m
  $ --experiment workers-threads         a published comparison; --list names them all""",
    ),
    Subcommand(
        "compare",
        "compare:compare_sides",
        "Say whether B is faster or slower than A, or neither, or that it cannot be told.",
        "A B [OPTIONS]",
        "compare.py",
        """Each of A and B is one of
  fastapi-async                            a stack, as it is in the working tree
  'fastapi-async[http_client=httpx]'       a variant of it
  fastapi-async@HEAD~1                     a stack, or a variant, of a git revision
  ./my-copy/                               a directory that is a stack: it has a stack.toml
  results/20260102T030405Z-name            a run on disk, against another run

Without --workload: notes-read, http and json-small. Nothing is explained unless --explain asks for it.
Exit code with --fail-if-worse: 0 no worse, 1 worse, 2 undecided or nothing to compare.

Examples:
  $ fastapi-sync fastapi-async --workload http
  $ fastapi-async 'fastapi-async[http_client=httpx]' --budget 3m
  $ fastapi-async@origin/main fastapi-async --fail-if-worse 5% --markdown -
  $ results/20260102T030405Z-before results/20260102T040506Z-after""",
    ),
    Subcommand(
        "contract",
        "contract:check_contract",
        "Check that stacks are the same service: every answer against contract/openapi.yaml.",
        "[OPTIONS]",
        "check-contract.py",
    ),
    Subcommand(
        "load",
        "load:offer_load",
        "Offer load to any HTTP/1.1 URL and print what came of it.",
        "URL (--users N | --rate R) [OPTIONS]",
        "load.py",
        """Latency counts from the instant at which a request was due. An answer is right when it is a 2xx,
complete, with the body of --expect if that is given. A percentile is shown when at least ten
requests lie beyond it.

Examples:
  $ http://127.0.0.1:8102/notes/1 --users 16
  $ 'http://127.0.0.1:8102/query?ms=10' --rate 200 --duration 40 --json result.json
  $ http://127.0.0.1:8102/notes/ --users 16 --method POST --body @note.json
  $ http://127.0.0.1:8102/notes/1 --users 10 --generator ab --requests 1000 --warmup 0""",
        needs_checkout=False,
    ),
    Subcommand(
        "serve",
        "serve:serve_stack",
        "Keep one stack and its upstreams up until Ctrl-C: to try it with curl, and to work on it.",
        "STACK [OPTIONS]",
        "serve.py",
    ),
    Subcommand(
        "up", "up:bring_up", "Bring up stacks and upstreams in containers, and leave them up.", "[STACK …]", "up.py"
    ),
    Subcommand("report", "report:write_again", "Make the reports of runs on disk again.", "RUN …", "report.py"),
    Subcommand(
        "experiment",
        "experiment:reproduce",
        "Reproduce and explain a published comparison; without a name, list them.",
        "[NAME] [OPTIONS]",
        "check-performance.py --experiment",
    ),
    Subcommand(
        "findings",
        "findings:write_down",
        "Run every experiment, and write docs/findings.md.",
        "[RUN …] [--out FILE] [-- OPTIONS OF EACH RUN]",
        "findings.py",
        """Examples:
  $                          every experiment, shortened: a quarter of an hour
  $ -- --rounds 8            likewise, with intervals
  $ results/*-findings       write them down again from runs that are there""",
    ),
)


def by_script() -> bool:
    """Tell whether a script of scripts/ was typed, and not `stackmatrix`."""
    return any(sub.script.split()[0] == Path(sys.argv[0]).name for sub in SUBCOMMANDS)


def as_typed(name: str) -> str:
    script = next(sub.script for sub in SUBCOMMANDS if sub.name == name)
    return f"./scripts/{script}" if by_script() else f"{PROGRAM} {name}"


def usage(sub: Subcommand) -> str:
    return f"{as_typed(sub.name)} {sub.takes}"


def typed_line() -> str:
    program = f"./scripts/{Path(sys.argv[0]).name}" if by_script() else PROGRAM
    return shlex.join([program, *sys.argv[1:]])
