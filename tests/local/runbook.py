"""What a person types who follows docs/runbooks: the lines, the words to fill in, and where each of those is to be found.

Reads the pages and the templates. Must not run anything, nor know what a line means.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator

from cloud import ROOT

PAGES = ROOT / "docs/runbooks"
BROKER = "broker.md"
EXAMPLE = "inventory"  # the consumer in all examples: an output of another one is called alike
LITERAL = {"ALARM", "ERROR", "UUID"}  # a state, a level, a field: nothing to fill in
WORD = re.compile(r"(?<![\w/.~-])[A-Z]{2,}(?:_[A-Z]+)*(?![\w/])")


@dataclass(frozen=True)
class Line:
    """A line of a block, as it stands on its page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """What a person has to fill in."""
        return [word for word in dict.fromkeys(WORD.findall(self.text)) if word not in LITERAL]


def pages() -> dict[str, str]:
    """The text of each runbook, by its name."""
    return {path.name: path.read_text() for path in sorted(PAGES.glob("*.md"))}


def block_lines(page: str, text: str) -> list[Line]:
    """What a page shows to be typed."""
    return [Line(page, line) for block in text.split("```")[1::2] for line in block.splitlines() if line]


def lines() -> list[Line]:
    """What all pages show to be typed."""
    return [line for page, text in pages().items() for line in block_lines(page, text)]


def inline(start: str) -> Iterator[Line]:
    """What stands in `code` within the text, and begins with this word."""
    for page, text in pages().items():
        for code in re.findall(r"`([^`\n]+ [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            if code.startswith(start):
                yield Line(page, code)


def found_by() -> dict[str, str]:
    """The words that broker.md explains: each with the command that prints it, or with nothing if a person knows it."""
    rows = re.findall(r"(?m)^\| `([A-Z_]+)` \| [^|]+ \| (.+) \|$", pages()[BROKER])
    return {word: (re.findall(r"^`(aws [^`]+)`$", how) or [""])[0] for word, how in rows}


def camel(word: str) -> str:
    """LOG_GROUP as an output or a dimension is written: LogGroup."""
    return "".join(part.title() for part in word.split("_"))


def output_names(word: str) -> list[str]:
    """Under which names a word may be an output of the stack."""
    return [camel(word), EXAMPLE.title() + camel(word)]


def unexplained(line: Line, outputs: set[str], dimensions: set[str], rows: dict[str, str]) -> list[str]:
    """The words of a line that nobody can look up."""
    return [word for word in line.words
            if word not in rows and camel(word) not in dimensions and not outputs.intersection(output_names(word))]


def wrong_search(text: str) -> str:
    """What CloudWatch would not find by a search of logs, or where it would look for too long; nothing if all is right."""
    pattern = re.search(r"--filter-pattern '([^']*)'", text)
    if not pattern:
        return "no --filter-pattern in single quotes"
    if not re.fullmatch(r'\{ .+ \}|"[^"]+"|\w+', pattern[1]):
        return "a phrase, or a term with anything but letters, digits and _ in it, stands in double quotes within the pattern"
    return "" if "--start-time " in text else "no --start-time: CloudWatch would go through all that it keeps"
