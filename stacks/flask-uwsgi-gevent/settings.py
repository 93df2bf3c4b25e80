"""How the stack is set: stack.toml names the settings and gives their defaults, the environment overrides them."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STACK = HERE.name
MANIFEST = tomllib.loads((HERE / "stack.toml").read_text(encoding="utf-8"))


def read(name: str, default: int | str) -> Any:
    """A setting from the environment, typed as its default is; SystemExit with the remedy when it cannot be."""
    text = os.environ.get(name.upper())
    if text is None:
        return default
    value: int | str | None
    if isinstance(default, bool):
        value, remedy = {"true": True, "false": False}.get(text.lower()), "true or false"
    elif isinstance(default, int):
        value = int(text) if re.fullmatch("[1-9][0-9]{0,5}", text) else None
        remedy = "a whole number from 1 to 999999"
    else:
        words = MANIFEST["choices"][name]
        value, remedy = text if text in words else None, f"one of {', '.join(words)}"
    if value is None:
        raise SystemExit(f"{STACK}: {name.upper()}={text!r}: must be {remedy}")
    return value


SETTINGS = {name: read(name, default) for name, default in MANIFEST["settings"].items()}
HOST = os.environ.get("HOST", "127.0.0.1")
PORT = read("port", MANIFEST["port"])
DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://stackmatrix:stackmatrix@postgres:5432/stackmatrix")
DELAY_URL = os.environ.get("DELAY_URL", "http://delay:8080")
FIXTURES_URL = os.environ.get("FIXTURES_URL", "http://nginx:8080")
FIXTURES_DIR = Path(os.environ.get("FIXTURES_DIR", "/fixtures"))
