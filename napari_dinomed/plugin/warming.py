"""What napari reads when the first layer comes, read beforehand beside the window."""

from __future__ import annotations

import importlib


def warm_up() -> None:
    """Read tables and units of measure, half a second of work; done once, it is nothing."""
    importlib.import_module("pandas")
    pint = importlib.import_module("pint")
    # The list of units is read when the first is asked for.
    _ = pint.get_application_registry().millimeter
