"""Finds the function processes of a local emulator, and looks at them from outside through /proc.

Knows Linux and the Lambda runtime's environment variables. Must not know queues, tables or the shop.
"""
from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One running execution environment of a function."""

    pid: int
    runtime_port: int

    def send(self, what: signal.Signals) -> None:
        os.kill(self.pid, what)

    @property
    def state(self) -> str:
        """The letter that /proc shows: S asleep, R running, T stopped, Z or empty dead."""
        try:
            return (PROC / str(self.pid) / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            return ""

    @property
    def alive(self) -> bool:
        return self.state not in ("", "Z", "X")

    def unread_bytes(self) -> int:
        """Bytes that the runtime API has handed to this process and that it has not read yet."""
        try:
            mine = {os.readlink(fd) for fd in (PROC / str(self.pid) / "fd").iterdir()}
            table = (PROC / str(self.pid) / "net" / "tcp").read_text().splitlines()[1:]
        except OSError:
            return 0
        unread = 0
        for line in table:
            cells = line.split()
            remote_port, inode = int(cells[2].rsplit(":", 1)[1], 16), cells[9]
            if remote_port == self.runtime_port and f"socket:[{inode}]" in mine:
                unread += int(cells[4].split(":")[1], 16)
        return unread


def of_function(function: str, endpoint: str) -> list[Process]:
    """The live processes of one function under the emulator at this end point."""
    gateway = urlsplit(endpoint).port
    found = []
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        variables = _environment(folder)
        port = re.fullmatch(r"127\.0\.0\.1:(\d+)", variables.get("AWS_LAMBDA_RUNTIME_API", ""))
        if port and variables.get("AWS_LAMBDA_FUNCTION_NAME") == function and variables.get("GATEWAY_PORT") == str(gateway):
            process = Process(int(folder.name), int(port.group(1)))
            if process.alive:
                found.append(process)
    return found


def _environment(folder: Path) -> dict[str, str]:
    try:
        raw = (folder / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition("=") for entry in raw.decode(errors="replace").split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs}
