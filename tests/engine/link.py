"""A link as slow as one wants, between a client and the command that it starts.

``python link.py [--delay MS] [--megabits N] [--down FILE] COMMAND ...`` delays both
directions by so many milliseconds each, and lets so many megabits a second pass. Where the
file exists, there is no link; SIGTERM cuts it. Both end as ssh does, with 255.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import subprocess
import sys
import threading
import time

# A small part of what crosses in the delay, so that rate and delay are both kept to.
PIECE = 4096
# As much as sockets hold by themselves.
HELD = 64
CUT = 255


def carry(source, target, delay, rate):
    """Move bytes from one file number to another, later and no faster than the rate."""
    under_way = queue.Queue(maxsize=HELD)

    def arrive():
        while (item := under_way.get()) is not None:
            due, piece = item
            time.sleep(max(0.0, due - time.monotonic()))
            while piece:
                piece = piece[os.write(target, piece) :]
        os.close(target)

    threading.Thread(target=arrive, daemon=True).start()
    free = 0.0
    while piece := os.read(source, PIECE):
        free = max(free, time.monotonic()) + len(piece) / rate
        under_way.put((free + delay, piece))
        # What is sent takes its time on the link, and who sends is kept waiting for it.
        time.sleep(max(0.0, free - time.monotonic()))
    under_way.put(None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--megabits", type=float, default=1e6)
    parser.add_argument("--down", default="")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if asked.down and os.path.exists(asked.down):
        print("ssh: connect to host gpubox port 22: No route to host", file=sys.stderr)
        sys.exit(CUT)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(CUT))
    engine = subprocess.Popen(
        asked.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    delay, rate = asked.delay / 1000, asked.megabits * 1e6 / 8
    ways = [(0, os.dup(engine.stdin.fileno())), (engine.stdout.fileno(), 1)]
    engine.stdin.close()
    for source, target in ways:
        way = threading.Thread(target=carry, args=(source, target, delay, rate))
        way.daemon = True
        way.start()
    sys.exit(engine.wait())


if __name__ == "__main__":
    main()
