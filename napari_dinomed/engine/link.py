"""What went wrong with a command line that should have led to an engine, in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from napari_dinomed import __version__

if TYPE_CHECKING:
    from napari_dinomed.engine.place import Place

CUT = 255
"""The exit code by which ssh says that it was the link, and not what it ran, that ended."""

# A shell's, for a command that it does not find, or may not run.
_NOT_THERE = (126, 127)
_LOG_IN = re.compile(r"denied|password|passphrase|publickey|host key|authenticat", re.I)
# More of a greeting says no more.
_MOST_SHOWN = 60


def no_engine(place: Place, code: int | None, last: str) -> str:
    """The command ended before an engine spoke.

    Parameters
    ----------
    place
        Where it should have been.
    code, last
        The command's exit code, and the last line that it wrote to standard error.
    """
    if code in _NOT_THERE or "not found" in last:
        way_out = "Install napari-dinomed there, or write its full path in the command."
    elif _LOG_IN.search(last):
        way_out = (
            f"It has to log in without a question: set up a key (ssh-copy-id {place.name}) "
            f"until 'ssh -o BatchMode=yes {place.name} true' is silent."
        )
    else:
        way_out = "Try the command in a terminal: it prints DNM1 and waits."
    told = f": {last}" if last else ""
    return f"No engine on {place.name}: '{place.line}' ended ({code}){told}. {way_out}"


def no_answer(place: Place, seconds: float, said: bytes) -> str:
    """Nothing came for so long, or nothing that an engine says."""
    if said:
        return no_wire(place, said)
    return (
        f"No engine on {place.name}: '{place.line}' has said nothing for {seconds:.0f} s. "
        "It may wait for a password: try it in a terminal, where it prints DNM1 and waits."
    )


def no_wire(place: Place, said: bytes) -> str:
    """Something else came than what an engine says."""
    words = " ".join(said.decode(errors="replace").split())
    shown = words[:_MOST_SHOWN] + "…" * (len(words) > _MOST_SHOWN)
    return (
        f"No engine on {place.name}: '{place.line}' says {shown!r}. It should start "
        "'napari-dinomed engine' and print nothing else."
    )


def other_version(place: Place, theirs: str) -> str:
    """An engine of another version than this program's: which side to update."""
    told = f"{place.name} has napari-dinomed {theirs}, this machine has {__version__}"
    return f"{told}: update {_older(place, theirs)} (pip install -U napari-dinomed)."


def _older(place: Place, theirs: str) -> str:
    try:
        is_newer = Version(theirs) > Version(__version__)
    except InvalidVersion:
        return f"{place.name} or this machine"
    return "this machine" if is_newer else place.name
