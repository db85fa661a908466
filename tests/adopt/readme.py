"""Reads README.md as an adopter does: the fenced blocks of a section, each with what its first line says to do with it.

    ```rust functions/a/src/lib.rs        a new file
    ```yaml template.yaml above Outputs:  lines for a file that is there, above the line that begins so
    ```sh                                 commands, line by line
Must not know what any block is about.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    path: str
    above: str
    text: str

    @property
    def lines(self) -> int:
        """Lines that hold something."""
        return sum(1 for line in self.text.splitlines() if line.strip())


def section(readme: Path, title: str) -> list[Block]:
    """The blocks of one section, in order."""
    parts = re.split(r"(?m)^## (.+)$", readme.read_text())
    sections = dict(zip(parts[1::2], parts[2::2]))
    if title not in sections:
        raise AssertionError(f"README.md has no section {title!r}, only {', '.join(sections)}")
    found = re.findall(r"(?ms)^```(\w+)(?: (\S+)(?: above ([^\n]+))?)?\n(.*?)^```$", sections[title])
    return [Block(*block) for block in found]


def follow(blocks: list[Block], root: Path) -> list[str]:
    """Does with each block what it says. Returns the paths of the files that were there before and are changed now."""
    changed = []
    for block in blocks:
        file = root / block.path
        if block.above:
            insert(file, block)
            changed.append(block.path)
        else:
            assert not file.exists(), f"README.md writes {block.path}, which is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
    return changed


def insert(file: Path, block: Block) -> None:
    lines = file.read_text().splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.startswith(block.above)]
    assert len(places) == 1, f"{block.path} has {len(places)} lines that begin with {block.above!r}, not one"
    lines.insert(places[0], block.text)
    file.write_text("".join(lines))
