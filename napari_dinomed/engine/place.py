"""Where an engine computes: a command line whose standard streams speak the wire."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import PurePath

# Of ssh's options, those that are followed by a value.
_SSH_VALUED = frozenset("BbcDEeFIiJLlmOoPpQRSWw")


@dataclass(frozen=True)
class Place:
    """Where an engine computes.

    Parameters
    ----------
    command
        The command line that starts an engine there.
    is_elsewhere
        Whether that is, or may be, another machine: voxels are sent, no path is.
    """

    command: tuple[str, ...]
    is_elsewhere: bool = False

    @classmethod
    def of(cls, text: str) -> Place:
        """The place of a command line as a user types it; this machine if it is empty."""
        try:
            words = shlex.split(text, posix=os.name != "nt")
        except ValueError:
            # A quote is not closed: what cannot be started says so by itself.
            words = text.split()
        return cls(tuple(words), is_elsewhere=True) if words else HERE

    @property
    def name(self) -> str:
        """The host that the command line names, or else its first word."""
        if not self.is_elsewhere:
            return "this machine"
        program = PurePath(self.command[0]).stem
        return (_ssh_host(self.command) if program == "ssh" else "") or program

    @property
    def line(self) -> str:
        """The command line as it would be typed."""
        return shlex.join(self.command)


HERE = Place((sys.executable, "-m", "napari_dinomed.engine"))
"""This machine, by this Python."""


def _ssh_host(words: tuple[str, ...]) -> str:
    """The host in ``ssh [options] [user@]host command``; empty where there is none."""
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-"):
            host = word.removeprefix("ssh://").rpartition("@")[2]
            return host.partition(":")[0]
        if len(word) == 2 and word[1] in _SSH_VALUED:
            next(rest, "")
    return ""
