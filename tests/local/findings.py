"""What a check hands back: how many things it looked at, and what is wrong.

Must not know any row or rule.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be."""

    key: str
    expected: Any
    found: Any


@dataclass
class Finding:
    """The result of one check."""

    promise: str
    looked_at: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.faults

    def equal(self, key: object, expected: Any, found: Any) -> None:
        """Counts one comparison, and keeps it when the two differ."""
        self.looked_at += 1
        if expected != found:
            self.faults.append(Fault(str(key), *shorten(expected, found)))

    def true(self, key: object, holds: bool, expected: str, found: Any) -> None:
        """Counts one condition, and keeps it when it does not hold."""
        self.looked_at += 1
        if not holds:
            self.faults.append(Fault(str(key), expected, found))

    def same_keys(self, what: str, expected: set[Any], found: set[Any]) -> None:
        """Counts the keys of both sides; names those that are only on one."""
        self.looked_at += len(expected | found)
        for key in sorted(expected - found, key=str):
            self.faults.append(Fault(_name(key), what, "missing"))
        for key in sorted(found - expected, key=str):
            self.faults.append(Fault(_name(key), f"no {what}", "there is one"))


def _name(key: Any) -> str:
    return " · ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


def shorten(expected: Any, found: Any) -> tuple[Any, Any]:
    """Of two maps, only what differs, however deep it lies."""
    if not (isinstance(expected, dict) and isinstance(found, dict)):
        return expected, found
    pairs = {k: shorten(expected.get(k, "nothing"), found.get(k, "nothing"))
             for k in {**expected, **found} if expected.get(k) != found.get(k)}
    return {k: pair[0] for k, pair in pairs.items()}, {k: pair[1] for k, pair in pairs.items()}
