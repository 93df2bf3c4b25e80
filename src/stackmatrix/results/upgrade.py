"""Bring lines of older schemas to today's, so that a run on disk stays readable."""

from dataclasses import fields
from typing import Any

from stackmatrix.results.trial import ClientSide, ServerSide


def upgraded(line: Any) -> Any:
    """Bring a line of `trials.jsonl` or `levels.jsonl` to schema 2; what is no line of schema 1 stays as it is."""
    if not isinstance(line, dict) or "client" in line:
        return line
    return line | {"trial": upgraded(line["trial"])} if "trial" in line else in_parts(line)


def in_parts(trial: dict[str, Any]) -> dict[str, Any]:
    """Put a trial of schema 1, whose fields all stood side by side, into its parts."""
    rest = {name: value for name, value in trial.items() if name != "told"}
    client = {field.name: rest.pop(field.name) for field in fields(ClientSide) if field.name in rest.keys() - {"cpu_s"}}
    server = {field.name: rest.pop(field.name) for field in fields(ServerSide) if field.name in rest}
    if isinstance(cpu := server.get("cpu_s"), dict):
        client["cpu_s"] = cpu.get("generator")
        server["cpu_s"] = {name: value for name, value in cpu.items() if name != "generator"}
    return rest | {"client": client | {"tool": trial.get("told")}, "server": server}
