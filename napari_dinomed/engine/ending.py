"""An engine ends with its client, also while it reads its libraries or hangs at a step."""

from __future__ import annotations

import os
import select
import threading
import time

# A step that goes on when the client has left may still write what it has in hand.
_SECONDS_TO_END = 1.0


def end_soon() -> None:
    """End, also in the middle of a step that does not: nobody waits for it any more."""
    time.sleep(_SECONDS_TO_END)
    os._exit(1)


def end_with_client() -> None:
    """Watch standard input without reading it, where the system can; end when it is closed.

    Imports of libraries take seconds, in which nothing can be read yet.
    """
    if not hasattr(select, "poll"):
        return
    # A number of its own: standard input itself is put out of reach of libraries later.
    watched = os.dup(0)

    def watch() -> None:
        poll = select.poll()
        poll.register(watched, select.POLLHUP)
        poll.poll()
        end_soon()

    threading.Thread(target=watch, daemon=True).start()
