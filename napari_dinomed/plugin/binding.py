"""An image that is bound: its session, the layers that show it, and who listens to them.

In: an image and its volume. Out: what the session says shown on layers, and
what is done on those told to the session, until the image is let go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinomed.plugin.encoders import remembered
from napari_dinomed.plugin.hearing import IN_3D, Hearing
from napari_dinomed.plugin.layers import file_of, is_measured_otherwise
from napari_dinomed.plugin.mouse import Mouse
from napari_dinomed.plugin.planes import SliceAmongLabels
from napari_dinomed.plugin.preferences import keeps_beside_image
from napari_dinomed.plugin.sheet import Sheet
from napari_dinomed.plugin.surface import Surface
from napari_dinomed.segment.defaults import defaults_for
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.figures import Measuring
from napari_dinomed.session.session import Session

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.history import History
    from napari_dinomed.engine.messages import PlaneProbability, SliceLabels
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.volume import Volume

# What puts a layer where it is.
_PLACED = ("scale", "translate", "rotate", "shear", "affine", "units")


@dataclass(frozen=True)
class Left:
    """What an image that is bound again goes on with.

    Parameters
    ----------
    fingerprint
        Hash of its volume.
    autosave
        Where its document is kept.
    history
        The steps that can be taken back and made again.
    is_saved
        Whether what they led to is in its file.
    """

    fingerprint: str
    autosave: Autosave
    history: History
    is_saved: bool


class Binding:
    """Ties an image to its session, and both to a workbench; what is half done holds.

    Parameters
    ----------
    bench
        The workbench, which says on what the session says.
    image
        The image.
    volume
        Its volume, of which a session is made that is not opened yet.
    engine
        Who computes.
    deliver
        Runs a function soon, on the viewer's thread.
    left
        What was left of the image when it was bound before.
    """

    def __init__(
        self,
        bench: Workbench,
        image: Image,
        volume: Volume,
        engine: Asks,
        deliver: Deliver,
        left: Left | None = None,
    ) -> None:
        self.image = image
        if left is not None and left.fingerprint != volume.fingerprint:
            left = None
        self._before, self._is_open = left, False
        if left is not None and left.autosave.path.exists():
            self._autosave = left.autosave
        else:
            # Without a file yet, it is kept where that is preferred now.
            file = file_of(image, volume)
            self._autosave = Autosave(volume.fingerprint, file, keeps_beside_image())
        self.session = Session(
            volume,
            engine,
            self._autosave,
            deliver,
            defaults_for(volume.modality).meaning,
            remembered(volume.modality),
        )
        self.sheet: Sheet | None = None
        self._bench = bench
        self._deliver = deliver
        self._hearing: Hearing | None = None
        self._measuring: Measuring | None = None
        self._on_canvas: tuple[Surface | Mouse | SliceAmongLabels, ...] = ()
        self._is_over = False
        image.events.data.connect(self._on_other_voxels)
        for name in _PLACED:
            getattr(image.events, name).connect(self._on_placed)
        self.session.noticed.connect(lambda text: bench.said.emit(text))
        self.session.failed.connect(lambda text: bench.failed.emit(text))

    @property
    def left(self) -> Left | None:
        """What to go on with when the image is bound again."""
        session = self.session
        if not self._is_open:
            return self._before
        is_saved = session.keeping.is_saved
        return Left(session.fingerprint, self._autosave, session.history, is_saved)

    def open(self) -> None:
        """Take up what was kept of the volume."""
        before = self._before
        if before is None:
            self.session.open()
        else:
            self.session.open(before.history, before.is_saved)
        self._is_open = True

    def lay_out(self) -> Sheet:
        """Make the layers, which are not in the viewer yet, and listen to them."""
        bench, session, image = self._bench, self.session, self.image
        sheet = Sheet(bench.viewer, image, session.document)
        self.sheet = sheet
        self._hearing = Hearing(
            bench.viewer,
            sheet,
            session,
            bench.turns,
            bench.hand,
            lambda why: bench.failed.emit(why),
        )
        self._listen()
        self._measuring = Measuring(session.volume, self._deliver)
        self._measuring.measured.connect(lambda figures: bench.measured.emit(figures))
        bench.keys.bind(sheet, image)
        self._on_canvas = (
            Surface(
                bench.viewer,
                sheet.result.layer,
                bench.viewport.go_to,
                lambda: bench.said.emit(IN_3D),
            ),
            Mouse(bench.viewer, image, sheet.layers, bench.viewport.label_at),
            SliceAmongLabels(bench.viewer, image),
        )
        for layer in sheet.layers:
            layer.events.mode.connect(bench.hand.tell_tool)
        return sheet

    def look(self) -> None:
        """Show what the plane in view shows, and have it answered first."""
        if self.sheet is None:
            return
        view = self.sheet.view
        if view is not None:
            self.session.computing.look_at(view)
        self.sheet.look_at(view, self.session.document)

    def measure(self) -> None:
        """Have the labels measured as they are."""
        if self._measuring is not None:
            self._measuring.follow(self.session.document)

    def let_go(self) -> None:
        """Leave the viewer and the image, and end the session; its layers stay."""
        self._bench.keys.free(self.image)
        self.image.events.data.disconnect(self._on_other_voxels)
        for name in _PLACED:
            getattr(self.image.events, name).disconnect(self._on_placed)
        for part in self._on_canvas:
            part.end()
        self.end()

    def end(self) -> None:
        """End the session, and touch nothing in the viewer."""
        self._is_over = True
        session, probing = self.session, self.session.computing.probing
        if self._measuring is not None:
            self._measuring.end()
        self._bench.hand.aim_changed.disconnect(self._aim, missing_ok=True)
        for signal in (
            session.changed,
            session.computing.acted,
            session.computing.slice_labelled,
            probing.found,
            probing.switched,
        ):
            signal.disconnect()
        session.close()
        session.noticed.disconnect()
        session.failed.disconnect()
        if self._hearing is not None:
            self._hearing.end()

    # What the image and the session say

    def _listen(self) -> None:
        session, turns = self.session, self._bench.turns

        def shown(before: Document, after: Document) -> None:
            turns.run(lambda: self._show(before, after))

        session.changed.connect(shown)
        session.computing.acted.connect(lambda activity: self._bench.acted.emit(activity))
        session.computing.gave_up.connect(lambda: turns.run(self._show_settled))
        session.computing.slice_labelled.connect(
            lambda part: turns.run(lambda: self._show_early(part))
        )
        probing = session.computing.probing
        probing.found.connect(lambda found: turns.run(lambda: self._show_plane(found)))
        probing.switched.connect(lambda is_on: turns.run(lambda: self._switch(is_on)))
        self._bench.hand.aim_changed.connect(self._aim)

    def _on_other_voxels(self) -> None:
        """A script gave the image other voxels: it is another volume now."""
        self._bench.turns.soon(self._bench.bind_again)

    def _on_placed(self) -> None:
        """The image was moved, turned or scaled."""
        self._bench.turns.soon(self._follow_image)

    def _follow_image(self) -> None:
        if self._is_over:
            return
        if self.sheet is not None:
            self.sheet.follow(self.image)
        if is_measured_otherwise(self.image, self.session.volume):
            self._bench.bind_again(keeps_labels=True)

    def _show(self, before: Document, after: Document) -> None:
        if self._is_over or self.sheet is None:
            return
        self.sheet.point_at(None)
        self.sheet.show(before, after)
        self._bench.hand.keep_to(self.session.document)
        self._bench.document_changed.emit(after)
        if self._measuring is not None and before.masks != after.masks:
            self._measuring.follow(after)
        if self.session.keeping.is_saved:
            self._bench.recovered.emit()

    def _show_early(self, part: SliceLabels) -> None:
        if not self._is_over and self.sheet is not None:
            self.sheet.show_early(part, self.session.document)

    def _show_settled(self) -> None:
        if not self._is_over and self.sheet is not None:
            self.sheet.show_settled(self.session.document)

    def _aim(self, label: int, *_: object) -> None:
        """What is seen of a label is seen of the one in use."""
        probing = self.session.computing.probing
        if probing.is_on:
            probing.look_for(label)

    def _show_plane(self, found: PlaneProbability | None) -> None:
        is_wanted = found is None or self.session.computing.probing.is_on
        if is_wanted and not self._is_over and self.sheet is not None:
            self.sheet.show_probability(found)

    def _switch(self, is_on: bool) -> None:
        if self._is_over or self.sheet is None:
            return
        if not is_on:
            self.sheet.put_away(self.sheet.probability.layer)
        if self._bench.viewer.layers.selection.active is None:
            self._bench.hand.take_up_again()
        self._bench.turned.emit()
