"""A cluster as users begin one: a scheduler and a worker, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil

TIMEOUT = 120


@dataclass(frozen=True)
class Cluster:
    """Where it is, and its processes; the worker is a child of what minds it."""

    address: str
    scheduler: subprocess.Popen
    minder: subprocess.Popen

    @property
    def worker(self) -> psutil.Process:
        """The process that works."""
        children = psutil.Process(self.minder.pid).children()
        return next(one for one in children if "spawn_main" in " ".join(one.cmdline()))


@contextmanager
def running_cluster(folder):
    """A cluster whose worker is there, until its end."""
    from distributed import Client

    place = folder / "scheduler.json"
    alone = ("--nthreads", "1", "--name", "alone", "--local-directory", str(folder))
    with ExitStack() as stack:
        scheduler = _begun("scheduler", place, "--host", "127.0.0.1", "--port", "0")
        stack.callback(_end, scheduler)
        address = wait_for(lambda: _address(place))
        minder = _begun("worker", place, *alone)
        stack.callback(_end, minder)
        # One that is killed before it is known is not begun again.
        with Client(address, timeout=TIMEOUT, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=TIMEOUT)
        yield Cluster(address, scheduler, minder)


def _end(process):
    """End a process, and those that it began; it must not begin another meanwhile."""
    children = psutil.Process(process.pid).children(recursive=True)
    for one in (process, *children):
        one.kill()
    process.wait()


def wait_for(what):
    """What a function tells, as soon as it tells anything."""
    deadline = time.monotonic() + TIMEOUT
    while not (told := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return told


def _begun(kind, place, *options):
    command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(place)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, "--no-dashboard", *options], **quiet)


def _address(place):
    try:
        return json.loads(place.read_text())["address"]
    except (OSError, ValueError, KeyError):
        return None
