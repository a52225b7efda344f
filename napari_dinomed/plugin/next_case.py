"""The next case in one act: labels saved, measured into one table, the next file opened."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.files import layer_name
from napari_dinomed.plugin.layers import file_of
from napari_dinomed.plugin.opening import open_paths
from napari_dinomed.session.cases import TABLE, add_case, next_case
from napari_dinomed.session.deferred import Deferred
from napari_dinomed.session.figures import Measuring
from napari_dinomed.session.provenance import save_labels
from napari_dinomed.session.statistics import statistics_csv

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver
    from napari_dinomed.session.session import Session


class NextCase:
    """Goes from one file of a folder to the next.

    Parameters
    ----------
    bench
        The workbench.
    deliver
        Runs a function soon, on the window's thread.
    """

    def __init__(self, bench: Workbench, deliver: Deliver) -> None:
        self._bench, self._deliver = bench, deliver
        self._is_busy = False
        # From a case to the one after it that could not be opened the last time.
        self._tried: dict[Path, Path] = {}

    @property
    def target(self) -> Path | None:
        """Where the labels go; None where the image came from no file."""
        exchange = self._bench.exchange
        if self._path is None:
            return None
        return exchange.suggested_path(exchange.usual_suffix)

    @property
    def _path(self) -> Path | None:
        session, image = self._bench.session, self._bench.image
        return None if session is None or image is None else file_of(image, session.volume)

    def go(self) -> None:
        """Save, measure, and open the next, once answers are in."""
        self._bench.act(self._begin)

    def _begin(self, session: Session) -> None:
        path, target = self._path, self.target
        if path is None or target is None:
            raise DinomedError(
                "The next case is the next file of a folder, but this image came from none."
            )
        if not self._is_busy:
            work = Deferred("next case", lambda: self._save(session, path, target))
            session.after_answers(work)

    def _save(self, session: Session, path: Path, target: Path) -> None:
        document, volume, saved = session.document, session.volume, session.to_save()
        if not document.masks:
            self._open_next(path, f"Nothing was labelled in {path.name}. ")
            return
        measuring = Measuring(volume, self._deliver)
        self._is_busy = True

        def work() -> None:
            try:
                save_labels(target, volume, saved)
                table = statistics_csv(
                    document, measuring.measure(document), volume.geometry
                )
                add_case(path.parent / TABLE, layer_name(path), table)
            except Exception as error:  # noqa: BLE001 - nobody else would hear of it
                why = str(error) or type(error).__name__
                self._deliver(lambda: self._fail(why))
                return
            self._deliver(lambda: self._open_next(path, f"Saved {target.name}. "))

        threading.Thread(target=work, name="next case").start()

    def _fail(self, why: str) -> None:
        self._is_busy = False
        self._bench.failed.emit(why)

    def _open_next(self, path: Path, said: str) -> None:
        self._is_busy = False
        following = next_case(self._tried.pop(path, path))
        if following is None:
            self._bench.said.emit(f"{said}It was the last volume of {path.parent.name}.")
            return
        old = self._bench.image
        if old is not None and self._path == path:
            # What lies over the old one goes with it.
            self._bench.unbind()
            self._bench.viewer.layers.remove(old)
        open_paths(self._bench, [str(following)])
        if self._bench.chosen is not None:
            self._bench.said.emit(f"{said}Next: {following.name}.")
            return
        self._tried[path] = following
        open_paths(self._bench, [str(path)])
        self._bench.said.emit(
            f"{said}{following.name} cannot be opened; once more, for the one after it."
        )
