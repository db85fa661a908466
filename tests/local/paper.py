"""How printed output is laid out: one console, one kind of table.

Must not know what is printed.
"""
from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDTH_OF_A_FILE = 110


def console() -> Console:
    """As wide as the terminal; output that goes to a file is not squeezed into 80 columns."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=WIDTH_OF_A_FILE)


def table(title: str, *columns: str) -> Table:
    """A plain table. A column whose name begins with > holds numbers and is aligned to the right."""
    made = Table(title=title or None, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", no_wrap=True)
    return made
