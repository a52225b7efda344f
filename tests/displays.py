"""Where tests show windows: those on one display take the focus from each other."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

SCREEN = ("-screen", "0", "1600x1000x24", "+extension", "GLX", "-nolisten", "tcp")


@contextlib.contextmanager
def own_display():
    """A virtual display for this process alone; yields whether there is one."""
    server = shutil.which("Xvfb") if sys.platform.startswith("linux") else None
    if server is None or os.environ.get("WAYLAND_DISPLAY"):
        yield False
        return
    reading, writing = os.pipe()
    command = [server, "-displayfd", str(writing), *SCREEN]
    # Nobody waits for the end of what it says, should it outlive a process that crashed.
    nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen(command, pass_fds=[writing], **nowhere)
    os.close(writing)
    with open(reading) as told:
        number = told.readline().strip()
    if number:
        os.environ["DISPLAY"] = f":{number}"
    try:
        yield bool(number)
    finally:
        process.terminate()
        process.wait()
