"""How the demo speaks: steps with what was asked, what came back and how long it took; claims that hold or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that the demo says about the platform, and whether it was so."""

    text: str
    holds: bool
    seen: str


class Story:
    """Tells the demo on a terminal and keeps what it claimed."""

    def __init__(self, console: Console, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.claims: list[Claim] = []
        self._monotonic = monotonic
        self._began = monotonic()
        self._chapter = 0

    def chapter(self, title: str, why: str) -> None:
        """A new part of the story."""
        self._chapter += 1
        self.console.print(f"\n[bold cyan]{self._chapter}. {escape(title)}[/]  [dim]{escape(why)}[/]")

    def ask(self, what: str, call: Callable[[], T], *, show: Callable[[T], str]) -> T:
        """Do something, and say what was asked, what came back and how long it took."""
        began = self._monotonic()
        result = call()
        took_ms = (self._monotonic() - began) * 1000
        self.console.print(f"   {escape(what)}")
        self.console.print(f"     [green]{escape(show(result))}[/] [dim]({took_ms:,.0f} ms)[/]", soft_wrap=True)
        return result

    def refused(
        self, what: str, call: Callable[[], object], *, by: type[Exception], because: Callable[[Exception], bool]
    ) -> bool:
        """Try something that has to be refused; whether it was, and in the way that it should be."""
        try:
            result = call()
        except by as error:
            self.console.print(f"   {escape(what)}")
            self.console.print(f"     [yellow]refused:[/] {escape(str(error).splitlines()[0])}", soft_wrap=True)
            return because(error)
        self.console.print(f"   {escape(what)}")
        self.console.print(f"     [red]went through: {escape(repr(result))}[/]")
        return False

    def claim(self, text: str, holds: bool, *, seen: str) -> None:
        """Note a claim with what was seen of it."""
        self.claims.append(Claim(text, holds, seen))
        self.console.print(f"   {'[green]✓' if holds else '[red]✗'} {escape(text)}[/]")

    def end(self) -> bool:
        """Print the table of claims; whether all of them hold."""
        table = Table("", "claim", "what was seen", box=None, padding=(0, 2, 0, 0))
        for claim in self.claims:
            table.add_row("[green]✓[/]" if claim.holds else "[red]✗[/]", escape(claim.text), escape(claim.seen))
        self.console.print("\n[bold]What was shown[/]")
        self.console.print(table)
        held = sum(claim.holds for claim in self.claims)
        seconds = self._monotonic() - self._began
        colour = "green" if held == len(self.claims) else "red"
        self.console.print(f"\n[bold {colour}]{held} of {len(self.claims)} claims hold, in {seconds:.0f} s.[/]")
        return held == len(self.claims)
