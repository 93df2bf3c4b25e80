#!/usr/bin/env python3
"""Does compare.py tell the truth here? A stack against itself, again and again, and against a copy made 15 % slower.

    ./benchmarks/honesty.py [--times 20] [--budget 60s] [--planted-budget 3m] [--runtime native]

Against itself every answer must be “no difference” or “can't tell”. The slowdown is a busy loop in the handler, sized
to the CPU per request that was seen, and must be found: “slower”, or “dearer” where the machine is too noisy for that.
Prints each answer; exits 1 when one is wrong.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from _venv import enter

enter()

import msgspec

from stackmatrix.results.compare import CellComparison, ComparisonReport

STACK = "fastapi-async"
WORKLOAD = "json-small"
HONEST = ("no difference", "can't tell")
SLOWDOWN = 0.15
"""By which goodput falls where the CPU binds it."""
HANDLER = "    return answer(orjson.loads(body))\n"


def main() -> None:
    """Ask as often as wanted, then plant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--planted-budget", default="3m")
    parser.add_argument("--runtime", default="auto")
    options = parser.parse_args()
    common = ["--runtime", options.runtime, "--workload", WORKLOAD]
    with tempfile.TemporaryDirectory() as directory:
        results = ["--results", directory]
        answers: list[CellComparison] = []
        for number in range(options.times):
            answers.append(ask(STACK, STACK, *common, *results, "--budget", options.budget))
            tell(f"itself {number + 1}", answers[-1])
        cpu_us = [answer.cpu_us.a for answer in answers if answer.cpu_us.a is not None]
        if not cpu_us:
            sys.exit("error: nothing was measured; quiet the machine and try again")
        slow = planted(Path(directory) / "slow", min(cpu_us))
        found = ask(STACK, str(slow), *common, *results, "--budget", options.planted_budget)
        tell("planted", found)
    honest = sum(answer.verdict in HONEST for answer in answers)
    print(f"\n{honest} of {len(answers)} against itself are honest; the planted {SLOWDOWN:.0%} is {found.verdict}")
    sys.exit(honest < len(answers) or found.verdict not in ("slower", "dearer"))


def planted(place: Path, cpu_us: float) -> Path:
    """A copy of the stack whose handler burns so much CPU more that its rate falls by SLOWDOWN."""
    shutil.copytree(ROOT / "stacks" / STACK, place, ignore=shutil.ignore_patterns("__pycache__"))
    more = cpu_us * SLOWDOWN / (1 - SLOWDOWN)
    loop = f"    end = time.thread_time() + {more:.1f}e-6\n    while time.thread_time() < end:\n        pass\n"
    source = (place / "app.py").read_text(encoding="utf-8")
    if source.count(HANDLER) != 1:
        sys.exit(f"error: {STACK}/app.py has no line {HANDLER.strip()!r}; mend this benchmark")
    slowed = source.replace(HANDLER, loop + HANDLER).replace("import asyncio\n", "import asyncio\nimport time\n", 1)
    (place / "app.py").write_text(slowed, encoding="utf-8")
    print(f"planted {more:.0f} µs on top of {cpu_us:.0f} µs of CPU per request", flush=True)
    return place


def ask(*arguments: str) -> CellComparison:
    """The one answer of a comparison."""
    done = compare(arguments)
    if not done.stdout:
        sys.exit(f"error: compare.py gave no answer:\n{done.stderr}")
    (answer,) = msgspec.json.decode(done.stdout, type=ComparisonReport).answers
    return answer


def compare(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    command = [str(ROOT / "scripts" / "compare.py"), *arguments, "--json", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def tell(name: str, answer: CellComparison) -> None:
    """One line."""
    print(f"{name}: {answer.verdict}: {answer.words} ({answer.goodput.rounds} rounds)", flush=True)


if __name__ == "__main__":
    main()
