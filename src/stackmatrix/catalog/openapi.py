"""What `contract/openapi.yaml` allows of a query parameter: the one place that states its bounds."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stackmatrix.catalog import ROOT


def schemas(method: str, target: str, root: Path = ROOT) -> dict[str, Mapping[str, Any]]:
    """Find the schema of each `$name` in the query of a request template; none where the contract lacks the path."""
    path, query = urlsplit(target).path, parse_qsl(urlsplit(target).query)
    contract = contract_document(root)
    operation = contract["paths"].get(path, {}).get(method.lower(), {})
    found: dict[str, Mapping[str, Any]] = {}
    for reference in operation.get("parameters", ()):
        parameter = resolved(contract, reference)
        for key, template in query:
            if parameter["in"] == "query" and parameter["name"] == key and template.startswith("$"):
                found[template[1:]] = resolved(contract, parameter["schema"])
    return found


def bounds_in_words(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    return f"a whole number from {schema['minimum']} to {schema['maximum']}" if schema else ""


def in_bounds(schema: Mapping[str, Any], value: int | str) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    return not schema or (isinstance(value, int) and schema["minimum"] <= value <= schema["maximum"])


def resolved(contract: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in part:
        return part
    found: Any = contract
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolved(contract, found)


@cache
def contract_document(root: Path) -> dict[str, Any]:
    import yaml  # here, since most commands change no parameter

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where PyYAML was built with libyaml
    loaded: dict[str, Any] = yaml.load((root / "contract" / "openapi.yaml").read_bytes(), loader)
    return loaded
