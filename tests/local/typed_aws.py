"""Carries out a typed `aws` line as the program of that name does, without it: options to parameters by AWS's own models.

Knows as much of its options as the runbooks use. Must not know what a line is for.
"""
from __future__ import annotations

import json
from itertools import takewhile
from typing import Any, Callable

import botocore.session
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name

PRINTING = {"--query", "--output"}


def carry_out(client: Callable[[str], Any], words: list[str]) -> str:
    """What the line prints with `--output text`, or the answer as JSON. Errors are the client's own."""
    _, service, verb, *options = words
    method, parameters, printing = parse(service, verb, options)
    answer = getattr(client(service), method)(**parameters)
    answer.pop("ResponseMetadata", None)
    if printing.get("--output") == "text":
        return text(answer, printing.get("--query", ""))
    return json.dumps(answer, default=str)


def parse(service: str, verb: str, options: list[str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The client's method, its parameters, and what is said of printing."""
    model = botocore.session.get_session().get_service_model(service)
    operation = next(name for name in model.operation_names if xform_name(name, "-") == verb)
    shape = model.operation_model(operation).input_shape
    members = {f"--{xform_name(name, '-')}": (name, member) for name, member in (shape.members if shape else {}).items()}
    parameters: dict[str, Any] = {}
    printing: dict[str, str] = {}
    for at, option in enumerate(options):
        if not option.startswith("--"):
            continue
        values = list(takewhile(lambda word: not word.startswith("--"), options[at + 1:]))
        if option in PRINTING:
            printing[option] = values[0]
        else:
            name, member = members[option]
            parameters[name] = value(member, values)
    return xform_name(operation), parameters, printing


def value(shape: Any, words: list[str]) -> Any:
    """The words behind an option, as its type is."""
    kind = str(shape.type_name)
    if kind == "boolean":
        return True
    if kind == "list":
        return [value(shape.member, [word]) for word in words]
    if kind == "structure" and not words[0].startswith("{"):
        return dict(pair.split("=", 1) for pair in words[0].split(","))
    if kind in ("structure", "map"):
        return json.loads(words[0])
    return int(words[0]) if kind in ("integer", "long", "timestamp") else words[0]


def text(answer: dict[str, Any], query: str) -> str:
    """An answer as `--output text` prints it: what lies in a row beside each other, what lies in a list below."""
    found = jmespath.search(query, answer) if query else list(answer.values())
    rows = found if isinstance(found, list) else [found]
    return "\n".join("\t".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows)
