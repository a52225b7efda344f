"""Volumes that were worked on last: remembered on this machine, and offered again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.layers import file_of
from napari_dinomed.settings import load_settings, save_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QMenu

    from napari_dinomed.plugin.workbench import Workbench

_MOST = 8


def remember_recent(workbench: Workbench) -> None:
    """Have each volume that a workbench begins with remembered."""

    def remember() -> None:
        session, image = workbench.session, workbench.image
        if session is None or image is None:
            return
        path = file_of(image, session.volume)
        if path is not None:
            # That it is not remembered stops nobody's work.
            with suppress(DinomedError):
                _put_first(str(path.absolute()))

    workbench.bound.connect(remember)


def recent() -> list[Path]:
    """Those that are still there, the last first."""
    try:
        return [path for path in map(Path, load_settings().recent) if path.exists()]
    except DinomedError:
        return []


def forget_recent() -> None:
    """Remember none of them any more; their labels stay."""
    save_settings(replace(load_settings(), recent=()))


def fill_recent(menu: QMenu, open_path: Callable[[Path], None]) -> None:
    """Offer them in a menu: names may be alike, so each says its folder, too."""
    for path in recent():
        action = menu.addAction(f"{path.name}    {path.parent.name}")
        action.setToolTip(f"{path}: goes on where you left it")
        act = partial(open_path, path)
        action.triggered.connect(lambda _=False, act=act: act())
    menu.setToolTipsVisible(True)
    if recent():
        menu.addSeparator()
        menu.addAction("Forget these").triggered.connect(lambda: forget_recent())


def _put_first(path: str) -> None:
    settings = load_settings()
    others = [known for known in settings.recent if known != path]
    paths = (path, *others[: _MOST - 1])
    if paths != settings.recent:
        save_settings(replace(settings, recent=paths))
