"""Acts that wait for an answer: saving, and locking what was clicked last.

In: acts, and what becomes of the answers. Out: each act done once the answers that it waits
for are in; or not done, and said so. An act never works on less than the user has seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, eq=False)
class Deferred:
    """An act that waits.

    Parameters
    ----------
    name
        What it is, as «saving to a.nii.gz».
    work
        Does it.
    label
        Whose answer it waits for; all that wait if None.
    survives_closing
        Whether it is done when the volume is closed before the answer is in.
    """

    name: str
    work: Callable[[], None]
    label: int | None = None
    survives_closing: bool = False

    def waits(self, waiting: tuple[int, ...]) -> bool:
        """Whether it has to wait while these labels do."""
        return bool(waiting) if self.label is None else self.label in waiting


@dataclass(eq=False)
class Queue:
    """Acts that wait, in order.

    Parameters
    ----------
    say
        Tells the user.
    """

    say: Callable[[str], None]
    acts: list[Deferred] = field(default_factory=list)

    def put(self, act: Deferred) -> None:
        """Let an act wait."""
        self.acts.append(act)
        self.say(f"A click is still being answered; {act.name} comes right after.")

    def release(self, waiting: tuple[int, ...]) -> None:
        """Do what need not wait any longer."""
        ready = [act for act in self.acts if not act.waits(waiting)]
        self.acts = [act for act in self.acts if act.waits(waiting)]
        for act in ready:
            act.work()

    def withdraw(self) -> None:
        """Do none of them, and say so."""
        gone, self.acts = self.acts, []
        for act in gone:
            self.say(f"Withdrawn, since its click was not answered: {act.name}.")

    def close(self) -> None:
        """Do what has to be done before the volume goes."""
        last, self.acts = self.acts, []
        for act in last:
            if act.survives_closing:
                act.work()
                self.say(f"Done before the last click was answered: {act.name}.")
