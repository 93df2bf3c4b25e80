"""Stacks as they were: the checkout's git history, read without touching its index or its working tree."""

import subprocess
from pathlib import Path

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError


def commit_of(revision: str, root: Path = ROOT) -> str:
    """Find the full name of a commit; UserError when the history does not have it, or there is none."""
    if git(root, "rev-parse", "--git-dir").returncode:
        raise UserError(f"{root} is no git checkout, so it has no revision {revision!r}; give a directory instead")
    asked = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if asked.returncode:
        shallow = git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        remedy = "this clone is shallow: git fetch --unshallow" if shallow else "git log shows what there is"
        raise UserError(f"no revision is called {revision!r}; {remedy}")
    return asked.stdout.decode().strip()


def extract(commit: str, stack: str, place: Path, root: Path = ROOT) -> None:
    """Write the directory of a stack as it was in a commit to `place`; UserError when it was not there."""
    if git(root, "cat-file", "-e", f"{commit}:./stacks/{stack}/stack.toml").returncode:
        there = git(root, "ls-tree", "--name-only", f"{commit}:./stacks").stdout.decode().split()
        raise UserError(f"{commit[:12]} has no stack called {stack!r}; it has {', '.join(there) or 'none'}")
    place.mkdir(parents=True)
    archived = git(root, "archive", "--format=tar", commit, "--", f"stacks/{stack}")
    unpack = ["tar", "--extract", "--strip-components=2", "--directory", str(place)]
    unpacked = subprocess.run(unpack, input=archived.stdout, capture_output=True, check=False)
    if archived.returncode or unpacked.returncode:
        words = (archived.stderr or unpacked.stderr).decode(errors="replace").strip()
        raise UserError(f"could not read {stack} of {commit[:12]}: {words}")


def changed(stack: str, root: Path = ROOT) -> bool:
    """Tell whether the working tree's stack differs from the last commit's."""
    return bool(git(root, "status", "--porcelain", "--", f"stacks/{stack}").stdout.strip())


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git on the checkout; UserError when there is no git."""
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError("git is not installed, and a revision needs it: apt-get install git") from None
