"""Say whether everything is here that the program needs, and what to do where not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from napari_dinomed.cli.common import errors, out

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
) -> None:
    """Check window, torch, GPU, memory, folders and weights; status 1 where one fails."""
    from napari_dinomed.doctor.facts import examine
    from napari_dinomed.doctor.findings import Level

    with errors.status("Looking at this machine"):
        findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        table = Table("", "what")
        for title in ("found", "what to do"):
            table.add_column(title, overflow="fold")
        for one in findings:
            level = Text(one.level, style=_STYLES[one.level])
            table.add_row(level, one.what, one.says, one.remedy)
        out.print(table)
        out.print(
            "In a report, paste all of this: it names neither you nor this machine.",
            soft_wrap=True,
        )
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)
