"""Labels and documents in and out of a workbench: files, layers, things to be counted."""

from __future__ import annotations

import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_dinomed.annotation.continuing import continued_from
from napari_dinomed.errors import DinomedError, DocumentError
from napari_dinomed.finish.surface import surface_of
from napari_dinomed.io import label_formats, read_labels
from napari_dinomed.io.atomic import stamp_of, write_text
from napari_dinomed.io.meshes import require_mesh_suffix, world_of, write_mesh
from napari_dinomed.io.ome_zarr import OmeZarrHeader
from napari_dinomed.plugin.files import layer_name
from napari_dinomed.plugin.layers import (
    METADATA_KEY,
    file_of,
    legend_in,
    lies_over,
    shape_over,
)
from napari_dinomed.plugin.result_layer import instances_over
from napari_dinomed.segment.instances import split_instances
from napari_dinomed.session.deferred import Deferred
from napari_dinomed.session.figures import Measuring
from napari_dinomed.session.provenance import save_labels
from napari_dinomed.session.statistics import statistics_csv
from napari_dinomed.settings import load_settings
from napari_dinomed.volume import Volume, require_same_grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Deliver
    from napari_dinomed.session.file import SavedDocument
    from napari_dinomed.session.session import Session
    from napari_dinomed.volume import NamedLabel

# Letters of a label's name in that of a file.
_MOST_OF_A_NAME = 40
# The ending of labels that no other was chosen for.
_USUAL = ".nii.gz"


class Exchange:
    """What comes into a workbench's document from elsewhere, and goes out of it.

    Parameters
    ----------
    bench
        The workbench.
    deliver
        Runs a function soon, on the viewer's thread.
    """

    def __init__(self, bench: Workbench, deliver: Deliver) -> None:
        self._bench = bench
        self._deliver = deliver
        self._seen_labels: weakref.WeakSet[Labels] = weakref.WeakSet()
        # Files are written one after another; Python itself waits for the last.
        self._writer = ThreadPoolExecutor(1, "saving")
        # Files of labels that were written here, as they were left.
        self._written: dict[Path, object] = {}

    def continue_from(self, layer: Labels) -> None:
        """Make a labels layer of the same grid the document's start, and hide it."""

        def go_on(session: Session) -> None:
            self._require_same_place(layer, session)
            stored = layer.metadata.get(METADATA_KEY)
            legend = stored.legend if isinstance(stored, Volume) else None
            array = np.asarray(layer.data).reshape(session.volume.array.shape)
            self._continue(session, array, legend or legend_in(layer), layer.name)
            if isinstance(stored, Volume) and stored.legend is not None:
                # It came from a file; what somebody made here is only hidden.
                self._bench.viewer.layers.remove(layer)
            layer.visible = False

        self._bench.act(go_on)

    def _require_same_place(self, layer: Labels, session: Session) -> None:
        """Raise `DinomedError` where a layer does not lie voxel on voxel of the image."""
        shape, own = session.volume.array.shape, shape_over(layer)
        if own != shape:
            raise DinomedError(
                f"Expected labels of {shape} voxels, but {layer.name!r} has {own}. Open "
                "labels of this image."
            )
        sheet = self._bench.sheet
        if sheet is not None and not lies_over(layer, sheet.result.layer):
            raise DinomedError(
                f"{layer.name!r} has as many voxels as the image, but lies elsewhere, or "
                "at another scale. Open labels of this image."
            )

    def continue_from_file(self, path: Path) -> None:
        """Make labels from a file the document's start."""

        def go_on(session: Session) -> None:
            labels, volume = read_labels(path)
            require_same_grid(session.volume, volume)
            self._continue(session, labels, volume.legend or (), path.name)

        self._bench.act(go_on)

    def _continue(
        self,
        session: Session,
        labels: NDArray[Any],
        legend: tuple[NamedLabel, ...],
        name: str,
    ) -> None:
        document = continued_from(session.document, labels, legend)
        session.change(document, f"continue from {name}", "continue from labels")
        self._bench.hand.aim(session.document.labels[0].id)
        count = len(session.document.labels)
        self._bench.said.emit(f"Went on from {name}: {count} labels. Undo takes it back.")

    @property
    def labels_at_hand(self) -> list[Labels]:
        """Labels layers of the image's shape that could be gone on from."""
        if self._bench.session is None or self._bench.sheet is None:
            return []
        shape = self._bench.session.volume.array.shape
        return [
            layer
            for layer in self._bench.viewer.layers
            if isinstance(layer, Labels)
            and layer not in self._bench.sheet.layers
            and shape_over(layer) == shape
        ]

    def take_dropped(self) -> None:
        """A file of labels that was opened over a blank document becomes its start."""
        session = self._bench.session
        for layer in self.labels_at_hand:
            is_known = layer in self._seen_labels
            self._seen_labels.add(layer)
            stored = layer.metadata.get(METADATA_KEY)
            is_labels = isinstance(stored, Volume) and stored.legend is not None
            if is_known or not is_labels or session is None:
                continue
            if session.document.is_blank and not session.is_read_only:
                self.continue_from(layer)
            else:
                self._bench.said.emit(
                    f"{layer.name} are labels of this grid: go on from them by 'Continue "
                    "from labels…'."
                )

    def save_labels(self, path: Path, saved: Callable[[], None] | None = None) -> None:
        """Write the labels on the grid of the image's file, once answers are in.

        They are written as they are then, while the window goes on; what becomes of it is
        said, and ``saved`` is called where it went well.

        Raises
        ------
        DocumentError
            Where there is none to write.
        """
        session = self._bench.require()
        if not (session.document.masks or session.document.waiting):
            raise DocumentError("There are no labels to save yet: click on something.")

        def save() -> None:
            write = partial(
                self._write_labels, path, session.volume, session.to_save(), saved
            )
            try:
                self._writer.submit(write)
            except RuntimeError:
                # Python itself is ending, and nothing may be left to a thread.
                write()

        session.after_answers(
            Deferred(f"saving to {path.name}", save, survives_closing=True)
        )

    def _write_labels(
        self,
        path: Path,
        volume: Volume,
        document: SavedDocument,
        saved: Callable[[], None] | None,
    ) -> None:
        """Write labels and how they were made, beside the window's thread."""
        try:
            save_labels(path, volume, document)
        except DinomedError as error:
            self._deliver(partial(self._bench.failed.emit, str(error)))
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            why = f"Cannot write {path}: {str(error) or type(error).__name__}"
            self._deliver(partial(self._bench.failed.emit, why))
        else:
            self._written[path] = stamp_of(path)
            told = partial(self._bench.said.emit, f"Saved {path}")
            for act in (told, saved):
                if act is not None:
                    self._deliver(partial(self._bench.attempt, act))

    def is_own(self, path: Path) -> bool:
        """Whether a file is what labels were saved to here last, and nobody changed it."""
        return path in self._written and stamp_of(path) == self._written[path]

    @property
    def usual_suffix(self) -> str:
        """The ending that labels got last, where the image's can have it."""
        session, last = self._bench.session, load_settings().label_suffix
        formats = label_formats(None if session is None else session.volume)
        known = [suffix for writes in formats.values() for suffix in writes]
        return last if last in known else _USUAL

    def save_statistics(self, path: Path) -> None:
        """Write figures of the labels as a table, once answers are in."""
        session = self._bench.require()
        measuring = Measuring(session.volume, self._deliver)

        def save() -> None:
            document = session.document

            def work() -> None:
                try:
                    figures = measuring.measure(document)
                except (DinomedError, OSError) as error:
                    why = f"The image cannot be read: {error}"
                    self._deliver(lambda: self._bench.failed.emit(why))
                    return
                table = statistics_csv(document, figures, session.volume.geometry)
                self._deliver(lambda: self._bench.attempt(lambda: write(table)))

            threading.Thread(target=work, name="statistics").start()

        def write(table: str) -> None:
            write_text(path, table)
            self._bench.said.emit(f"Saved {path}")

        session.after_answers(Deferred(f"saving to {path.name}", save))

    def save_surface(self, path: Path) -> None:
        """Write the surface of the label in use, once its last click is answered."""

        def begin(session: Session) -> None:
            require_mesh_suffix(path)
            label, geometry = self._bench.hand.label, session.volume.geometry
            said = f"Saved {path}"

            def work(mask: Mask) -> None:
                try:
                    write_mesh(path, surface_of(mask, geometry), world_of(geometry))
                except DinomedError as error:
                    why = str(error)
                    self._deliver(lambda: self._bench.failed.emit(why))
                    return
                self._deliver(lambda: self._bench.said.emit(said))

            def save() -> None:
                mask = session.document.mask(label)
                threading.Thread(target=work, args=(mask,), name="surface").start()

            session.after_answers(Deferred(f"saving to {path.name}", save, label))

        self._bench.act(begin)

    def save_copy(self, path: Path) -> None:
        """Write the document to a file of the user's choice."""

        def save(session: Session) -> None:
            session.save(path)
            self._bench.said.emit(f"Saved {path}")

        self._bench.act(save)

    def open_copy(self, path: Path) -> None:
        """Go on with a document from a file; undo goes back."""
        self._bench.act(lambda session: session.resume(path))

    def suggested_path(self, suffix: str, mark: str = "-labels") -> Path:
        """Where labels would be saved: beside the image, under its name with a mark."""
        session, image = self._bench.session, self._bench.image
        place = None
        if session is not None and image is not None:
            place = file_of(image, session.volume)
        if place is None:
            return Path.home() / f"{mark.strip('-') or 'labels'}{suffix}"
        return place.with_name(f"{layer_name(place)}{mark}{suffix}")

    @property
    def label_mark(self) -> str:
        """The label in use as a part of a file's name."""
        session = self._bench.session
        if session is None:
            return ""
        name = session.document.find(self._bench.hand.label).name
        plain = re.sub(r"[^\w.()+-]+", "-", name)[:_MOST_OF_A_NAME].strip("-.")
        return f"-{plain or 'label'}"

    @property
    def own_store(self) -> Path | None:
        """The OME-Zarr that the image came from, into which labels can go."""
        header = (
            self._bench.session.volume.header if self._bench.session is not None else None
        )
        return header.root if isinstance(header, OmeZarrHeader) else None

    def split(self) -> None:
        """Number the things of the label in use, once its last click is answered."""

        def split(session: Session) -> None:
            label = session.document.find(self._bench.hand.label)
            work = partial(self._bench.attempt, partial(self._split, session, label))
            session.after_answers(Deferred(f"splitting {label.name}", work, label.id))

        self._bench.act(split)

    def _split(self, session: Session, label: Label) -> None:
        mask = session.document.mask(label.id)
        if not mask:
            raise DinomedError(f"Nothing is {label.name} yet: click on some of it first.")
        self._bench.said.emit(f"Telling the things of {label.name} apart …")
        shape = session.volume.geometry.shape
        box = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))

        def work() -> None:
            instances = split_instances(mask.array(box), session.volume.geometry.spacing)
            self._deliver(lambda: self._show_instances(session, label.name, instances))

        threading.Thread(target=work, name="instances", daemon=True).start()

    def _show_instances(
        self, session: Session, name: str, instances: NDArray[np.int32]
    ) -> None:
        if (
            self._bench.session is not session
            or self._bench.image is None
            or self._bench.sheet is None
        ):
            return
        layer = instances_over(self._bench.image, name, instances, session.volume)
        self._seen_labels.add(layer)
        above = self._bench.viewer.layers.index(self._bench.sheet.result.layer) + 1
        self._bench.viewer.layers.insert(above, layer)
        self._bench.hand.point()
        self._bench.said.emit(f"{len(layer.features) - 1:,} things in {layer.name}")
