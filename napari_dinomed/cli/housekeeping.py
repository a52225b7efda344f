"""House-keeping: encoders, their weights, computed features, the engine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from napari_dinomed.cli.common import (
    Device,
    EngineLine,
    engine_at,
    out,
    progress_bar,
)
from napari_dinomed.engine.messages import Describe, Described, Stage
from napari_dinomed.engine.messages import Progress as Step
from napari_dinomed.errors import DinomedError
from napari_dinomed.settings import load_settings, save_settings

# Beyond any disk.
_MOST_GIGABYTES = 1e9

weights = typer.Typer(no_args_is_help=True, help="Fetch or add encoder weights.")
cache = typer.Typer(no_args_is_help=True, help="Look after computed features.")


def encoders(device: Device = "auto", engine: EngineLine = None) -> None:
    """List the encoders, and which of them are ready to use."""
    described, where = _described(device, engine)
    table = Table("name", "what", "weights", "channels", "licence", "here")
    for info in described.encoders:
        table.add_row(
            info.name,
            info.title,
            f"{info.parameters:g} M" if info.parameters else "none",
            str(info.channels),
            info.licence,
            "yes" if info.present else "no",
        )
    out.print(table)
    out.print(f"Device: {where}. Any timm ViT: --encoder file:PATH", soft_wrap=True)


def _described(device: str, line: str | None) -> tuple[Described, str]:
    """What there is, and where that is."""
    with engine_at(line) as elsewhere:
        if elsewhere is not None:
            return elsewhere.run(Describe(device)), elsewhere.where
    from napari_dinomed.engine.engine import Engine

    described: Described = Engine().run(Describe(device))
    return described, described.device


def engine(
    plain: Annotated[
        bool,
        typer.Option(
            help="For a client that can unpack nothing and may fall silent: 3D Slicer's."
        ),
    ] = False,
) -> None:
    """Serve as an engine on standard input and output, for a client elsewhere to start."""
    from napari_dinomed.engine.ending import end_with_client

    end_with_client()
    from napari_dinomed.engine.server import main as serve

    serve(is_far=not plain)


@weights.command("get")
def weights_get(
    name: Annotated[str, typer.Argument(help="Name of an encoder.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You accept the weights' licence.")
    ] = False,
) -> None:
    """Download an encoder's weights, or finish a download that was interrupted."""
    from napari_dinomed.features.catalog import LICENCE_NOTICES, find_spec
    from napari_dinomed.features.weights import fetch_weights, missing_licence

    find_spec(name)
    licence = missing_licence(name)
    if licence is not None:
        out.print(LICENCE_NOTICES[licence])
        if accept_licence or (
            sys.stdin.isatty() and typer.confirm(f"Accept the {licence}?")
        ):
            save_settings(load_settings().accepting(licence))
    with progress_bar() as on_event:
        pin = fetch_weights(name, lambda a, b: on_event(Step(a, b, Stage.FETCHING)))
    out.print(f"{name} is ready: SHA-256 {pin.sha256}, revision {pin.revision}")


@weights.command("add")
def weights_add(
    file: Annotated[Path, typer.Argument(help="A .safetensors or tensors-only .pth.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="Name of the encoder they are of. Left out, the file stays where it is, "
            "and windows on other machines may use it.",
        ),
    ] = None,
) -> None:
    """Take in weights brought from another machine."""
    from napari_dinomed.features.weights import add_weights, offer_weights

    if name is None:
        out.print(f"{offer_weights(file)} is ready", soft_wrap=True)
        return
    pin = add_weights(file, name)
    out.print(f"{name} is ready: SHA-256 {pin.sha256}")


@cache.command("list")
def cache_list() -> None:
    """List computed features, least recently used first."""
    from napari_dinomed.features.cache import list_entries
    from napari_dinomed.settings import cache_folder

    entries = list_entries()
    table = Table("features", "encoder", "slices × channels × grid", "MB", "last used")
    for entry in entries:
        table.add_row(
            entry.folder.name[:12],
            entry.encoder,
            " × ".join(str(n) for n in entry.shape),
            f"{entry.size / 1e6:.1f}",
            _day(entry.used),
        )
    out.print(table)
    total = sum(entry.size for entry in entries) / 1e9
    limit = load_settings().cache_limit / 1e9
    out.print(f"{total:.2f} of {limit:g} GB in {cache_folder()}", soft_wrap=True)


def _day(seconds: float) -> str:
    """A time since 1970 in words; clocks may have said anything."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "–"


@cache.command("clear")
def cache_clear() -> None:
    """Delete all computed features; they are computed again when needed."""
    from napari_dinomed.features.cache import clear

    out.print(f"Freed {clear() / 1e6:.1f} MB")


@cache.command("limit")
def cache_limit(
    gigabytes: Annotated[
        float, typer.Argument(min=0, help="Most space to take; 0 keeps none.")
    ],
) -> None:
    """Set how much space computed features may take."""
    from napari_dinomed.features.cache import evict

    if not gigabytes <= _MOST_GIGABYTES:
        raise DinomedError(
            f"Expected a number of GB from 0 to {_MOST_GIGABYTES:g}, got {gigabytes:g}."
        )
    settings = replace(load_settings(), cache_limit=int(gigabytes * 1e9))
    save_settings(settings)
    evict(settings.cache_limit)
    out.print(f"Features may take {gigabytes:g} GB")
