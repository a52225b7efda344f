"""The command line, in this process and in one of its own."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from unittest import mock

from napari_dinomed.cli import main


def run(*arguments) -> subprocess.CompletedProcess:
    """Run the command line in this process, where all that it imports is there already."""
    command = ["napari-dinomed", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", command),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        status = _status_of(main)
    return subprocess.CompletedProcess(command, status, out.getvalue(), errors.getvalue())


def _status_of(program) -> int:
    """What a program ends with; errors that it does not expect are raised."""
    try:
        program()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def run_apart(*arguments) -> subprocess.CompletedProcess:
    """Run the command line as users do, in a process of its own."""
    command = [sys.executable, "-m", "napari_dinomed", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
