"""Trials that are made up: tests name the fields that matter to them, whichever side of the trial has them."""

from dataclasses import fields, replace
from typing import Any

from stackmatrix.results.trial import ClientSide, ServerSide, Trial

CLIENT = {field.name for field in fields(ClientSide)} - {"cpu_s"}
SERVER = {field.name for field in fields(ServerSide)}


def altered(trial: Trial, **given: Any) -> Trial:
    """The same trial with some fields of it or of its sides changed; `generator_cpu_s` is the client's `cpu_s`."""
    client = {name: given.pop(name) for name in CLIENT & given.keys()}
    server = {name: given.pop(name) for name in SERVER & given.keys()}
    if "generator_cpu_s" in given:
        client["cpu_s"] = given.pop("generator_cpu_s")
    return replace(trial, client=replace(trial.client, **client), server=replace(trial.server, **server), **given)


def made(arm: str = "s/w/64 users", number: int = 0, attempt: int = 0, **given: Any) -> Trial:
    """A trial of an arm with some fields of it or of its sides."""
    blank = Trial(f"r{number}-a{attempt}-{arm}", arm, number, attempt, "2026-01-01T00:00:00Z")
    return altered(blank, **given)
