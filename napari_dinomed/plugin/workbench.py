"""Between a viewer and a session: binding an image, and what the user does to its document.

In: a viewer's images and the user's acts. Out: one session at a time, and its layers.
No widget is needed: everything here works on a `ViewerModel`.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from psygnal import Signal

from napari_dinomed.annotation.document import Document
from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.encoders import remember, remembered
from napari_dinomed.plugin.exchange import Exchange
from napari_dinomed.plugin.hand import Hand
from napari_dinomed.plugin.hearing import Hearing
from napari_dinomed.plugin.keys import Keys
from napari_dinomed.plugin.label_list import LabelList
from napari_dinomed.plugin.layers import (
    file_of,
    forget_voxels,
    share_unit,
    volume_of,
    widen_contrast_range,
)
from napari_dinomed.plugin.mouse import Mouse
from napari_dinomed.plugin.planes import SliceAmongLabels
from napari_dinomed.plugin.preferences import keeps_beside_image
from napari_dinomed.plugin.sheet import Sheet
from napari_dinomed.plugin.surface import Surface
from napari_dinomed.plugin.turns import Turns
from napari_dinomed.plugin.viewport import Viewport
from napari_dinomed.segment.defaults import defaults_for
from napari_dinomed.session.activity import Activity
from napari_dinomed.session.autosave import Autosave
from napari_dinomed.session.figures import Measuring
from napari_dinomed.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinomed.annotation.prompts import Voxel
    from napari_dinomed.engine.messages import SliceLabels
    from napari_dinomed.session.computing import Asks, Deliver
    from napari_dinomed.volume import Volume


# What there is no step after.
_BOUND = object()


@dataclass(frozen=True)
class _Beginning:
    """An image that is about to be bound, the steps left, and who waits for it."""

    image: Image
    steps: Iterator[None]
    thens: tuple[Callable[[], None], ...]


class Workbench:
    """One image layer being segmented, and the layers that belong to it.

    Parameters
    ----------
    viewer
        The viewer.
    engine
        Who computes.
    deliver
        Runs a function soon, on the viewer's thread.
    later
        Likewise, but not before what waits to be drawn is; ``deliver`` if None.
    """

    bound = Signal()
    images_changed = Signal()
    document_changed = Signal(Document)
    measured = Signal(object)
    """Figures by label, of the document as it is now."""
    turned = Signal()
    """The viewer shows another plane, or 3-D."""
    asked_for_help = Signal()
    judged = Signal(bool)
    """The case under review is accepted, or rejected."""
    asked_for_four = Signal()
    acted = Signal(Activity)
    said = Signal(str)
    failed = Signal(str)
    recovered = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        engine: Asks,
        deliver: Deliver,
        later: Deliver | None = None,
    ) -> None:
        self.viewer = viewer
        self.session: Session | None = None
        self._measuring: Measuring | None = None
        self._mouse: Mouse | None = None
        self._solid: SliceAmongLabels | None = None
        self._surface: Surface | None = None
        self.image: Image | None = None
        self.sheet: Sheet | None = None
        self.turns = Turns(deliver)
        self.exchange = Exchange(self, deliver)
        self._engine = engine
        self._deliver = deliver
        self._later = later if later is not None else deliver
        self._beginning: _Beginning | None = None
        self._hearing: Hearing | None = None
        self._is_syncing = self._image_came = self.is_closed = False
        self._prints: weakref.WeakKeyDictionary[Image, str] = weakref.WeakKeyDictionary()
        self.hand = Hand(self)
        self.labels = LabelList(self)
        self.viewport = Viewport(self)
        self.keys = Keys(self)
        for place, layer in enumerate(viewer.layers):
            share_unit(layer, viewer.layers[:place])
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.dims.events.current_step.connect(self._on_view)
        viewer.dims.events.order.connect(self._on_view)
        viewer.dims.events.order.connect(self._on_turned)
        viewer.dims.events.ndisplay.connect(self._on_turned)

    # Binding

    @property
    def images(self) -> list[Image]:
        """Images that could be segmented."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def bind(self, image: Image) -> None:
        """Begin with an image: its document is taken up where it was left.

        Raises
        ------
        VolumeError
            Where the layer is not a grey volume.
        """
        for _ in self._begun_with(image):
            pass

    def begin_with(self, image: Image, then: Callable[[], None] = lambda: None) -> None:
        """Bind an image a step at a time, and let the window run in between.

        Parameters
        ----------
        image
            The image; errors as `bind`, at once. Where it is about to be bound, it goes on.
        then
            Called when it is bound; not where another is chosen, or it goes, before that.
        """
        begun = self._beginning
        if begun is not None and image == begun.image:
            self._beginning = replace(begun, thens=(*begun.thens, then))
            return
        steps = self._begun_with(image)
        if next(steps, _BOUND) is _BOUND:
            then()
            return
        self._beginning = _Beginning(image, steps, (then,))
        self._go_on_later(steps)

    def _go_on_later(self, steps: Iterator[None]) -> None:
        self._later(lambda: self.turns.run(lambda: self._go_on(steps)))

    def _go_on(self, steps: Iterator[None]) -> None:
        """Go the next step of a binding, unless another was begun with meanwhile."""
        begun = self._begun_by(steps)
        if begun is None:
            return
        if begun.image not in self.viewer.layers:
            self._stop_beginning()
            return
        try:
            is_bound = next(steps, _BOUND) is _BOUND
        except DinomedError as error:
            self._stop_beginning()
            self.failed.emit(str(error))
            return
        except Exception:
            self._stop_beginning()
            raise
        if not is_bound:
            self._go_on_later(steps)
            return
        # Somebody may have come to wait for it in its last step, or gone on to another.
        begun = self._begun_by(steps)
        if begun is not None:
            self._beginning = None
            for then in begun.thens:
                then()

    def _begun_by(self, steps: Iterator[None]) -> _Beginning | None:
        begun = self._beginning
        return begun if begun is not None and begun.steps is steps else None

    def _stop_beginning(self) -> None:
        """Give an image up that is not bound yet: nothing of it stays half done."""
        begun, self._beginning = self._beginning, None
        if begun is not None and begun.image == self.image:
            self._leave_image()
        # Whoever said that it is about to come says what is there instead.
        self.bound.emit()

    @property
    def is_beginning(self) -> bool:
        """Whether an image is about to be bound."""
        return self._beginning is not None

    @property
    def chosen(self) -> Image | None:
        """The image that is bound, or about to be."""
        return self.image if self._beginning is None else self._beginning.image

    def _begun_with(self, image: Image) -> Iterator[None]:
        """The steps of binding an image; none takes long, and what is half done holds."""
        is_whole, self._beginning = not self.is_beginning, None
        # The window may have been closed while a volume was read for it.
        if self.is_closed or (image == self.image and is_whole):
            return
        volume = volume_of(image)
        volume.require_content()
        yield
        self._leave_image()
        yield
        session = Session(
            volume,
            self._engine,
            Autosave(volume.fingerprint, file_of(image, volume), keeps_beside_image()),
            self._deliver,
            defaults_for(volume.modality).meaning,
            remembered(volume.modality),
        )
        self.session, self.image = session, image
        image.events.data.connect(self._on_other_voxels)
        session.noticed.connect(lambda text: self.said.emit(text))
        session.failed.connect(lambda text: self.failed.emit(text))
        session.open()
        session.computing.know(tuple(self._others_at_hand(session)))
        widen_contrast_range(image, volume)
        yield
        sheet = Sheet(self.viewer, image, session.document)
        self.sheet = sheet
        self._hearing = Hearing(
            self.viewer,
            sheet,
            session,
            self.turns,
            self.hand,
            lambda why: self.failed.emit(why),
        )
        self._listen(session)
        measuring = self._measure(session)
        self.keys.bind(sheet, image)
        self._surface = Surface(self.viewer, sheet.result.layer, self.viewport.go_to)
        self._mouse = Mouse(self.viewer, image, sheet.layers, self.viewport.label_at)
        self._solid = SliceAmongLabels(self.viewer, image)
        for layer in sheet.layers:
            layer.events.mode.connect(self.hand.tell_tool)
        yield
        yield from sheet.come_up()
        self.viewport.bring_into_view(sheet.result.layer)
        self._on_view()
        self.hand.begin_with(session.document)
        self.bound.emit()
        self.document_changed.emit(session.document)
        measuring.follow(session.document)
        self.acted.emit(session.computing.activity)
        # Layers that came meanwhile are looked at now.
        self._on_layers()

    def unbind(self) -> None:
        """Leave the image: its layers go, its document is kept."""
        self._beginning = None
        self._leave_image()

    def _leave_image(self) -> None:
        sheet = self._let_go()
        if sheet is not None:
            sheet.remove()
            self.bound.emit()

    def close(self) -> None:
        """Leave the viewer for good: nobody is told any more."""
        self._fall_silent()
        self.unbind()

    def abandon(self) -> None:
        """Leave a viewer whose window is gone: its layers went with it.

        What is changed in that viewer now would be drawn on a canvas that is no more.
        """
        self._fall_silent()
        self._end_session()

    def _fall_silent(self) -> None:
        self.is_closed = True
        self._beginning = None
        self.turns.end()
        for signal in (
            self.bound,
            self.images_changed,
            self.document_changed,
            self.measured,
            self.turned,
            self.asked_for_help,
            self.judged,
            self.asked_for_four,
            self.acted,
            self.said,
            self.failed,
            self.recovered,
        ):
            signal.disconnect()
        layers, dims = self.viewer.layers, self.viewer.dims
        layers.events.inserted.disconnect(self._on_inserted)
        layers.events.removed.disconnect(self._on_layers)
        dims.events.current_step.disconnect(self._on_view)
        dims.events.order.disconnect(self._on_view)
        dims.events.order.disconnect(self._on_turned)
        dims.events.ndisplay.disconnect(self._on_turned)
        self.hand.end()
        self.keys.end()

    def _let_go(self) -> Sheet | None:
        """Leave the viewer and its image, and end the session; its layers, if any."""
        if self.image is not None:
            self.keys.free(self.image)
            self.image.events.data.disconnect(self._on_other_voxels)
        for part in (self._mouse, self._solid, self._surface):
            if part is not None:
                part.end()
        return self._end_session()

    def _end_session(self) -> Sheet | None:
        """End the session; its layers, where there were any."""
        session, sheet, hearing = self.session, self.sheet, self._hearing
        measuring = self._measuring
        self._mouse = self._solid = self._surface = None
        self.session = self.image = self.sheet = self._hearing = self._measuring = None
        if measuring is not None:
            measuring.end()
        if session is not None:
            for signal in (
                session.changed,
                session.computing.acted,
                session.computing.slice_labelled,
            ):
                signal.disconnect()
            session.close()
            session.noticed.disconnect()
            session.failed.disconnect()
        if hearing is not None:
            hearing.end()
        return sheet

    def _on_inserted(self, event: Any) -> None:
        self._image_came |= isinstance(event.value, Image)
        beside = [layer for layer in self.viewer.layers if layer is not event.value]
        share_unit(event.value, beside)
        self._on_layers()

    def _on_other_voxels(self) -> None:
        """A script gave the image other voxels: it is another volume now."""

        def bind_again() -> None:
            image = self.image
            if image is not None:
                forget_voxels(image)
                self._prints.pop(image, None)
                self.unbind()
                self.attempt(lambda: self.bind(image))

        self.turns.soon(bind_again)

    def _on_layers(self) -> None:
        """Layers came or went: look at them once that is over."""
        if self._is_syncing or (self.sheet is not None and self.sheet.is_showing):
            return
        self._is_syncing = True
        self.turns.soon(self._sync)

    def _sync(self) -> None:
        """Make what is bound follow the layers that are there."""
        self._is_syncing = False
        layers, begun = self.viewer.layers, self._beginning
        if begun is not None and begun.image not in layers:
            self._stop_beginning()
        if self.image is not None and self.image not in layers:
            # Another one that is about to be bound goes on.
            self._leave_image()
        is_bound = self.session is not None and not self.is_beginning
        if is_bound and self.session is not None and self.sheet is not None:
            self.session.computing.know(tuple(self._others_at_hand(self.session)))
            if self.sheet.keep_up() or self._image_came:
                self.hand.take_up_again()
        self._image_came = False
        self.images_changed.emit()
        self.exchange.take_dropped()

    def _others_at_hand(self, session: Session) -> Iterable[Volume]:
        """Images in the viewer that the document says it is seen with."""
        wanted = set(session.document.choices.others)
        for image in self.images if wanted else ():
            if self.fingerprint_of(image) in wanted:
                yield volume_of(image)

    def _listen(self, session: Session) -> None:
        def shown(before: Document, after: Document) -> None:
            self.turns.run(lambda: self._show(before, after))

        session.changed.connect(shown)
        session.computing.acted.connect(lambda activity: self.acted.emit(activity))
        session.computing.gave_up.connect(lambda: self.turns.run(self._show_settled))
        session.computing.slice_labelled.connect(
            lambda part: self.turns.run(lambda: self._show_early(part))
        )

    def _measure(self, session: Session) -> Measuring:
        self._measuring = Measuring(session.volume, self._deliver)
        self._measuring.measured.connect(lambda figures: self.measured.emit(figures))
        return self._measuring

    # What the user does

    def undo(self) -> None:
        """Take back the last step."""
        self.act(lambda session: session.undo())

    def redo(self) -> None:
        """Make it again."""
        self.act(lambda session: session.redo())

    def suggest(self) -> None:
        """Go to where a click on the label in use would tell most, and mark it."""

        def go(voxel: Voxel) -> None:
            self.viewport.go_to(voxel)
            if self.sheet is not None:
                self.sheet.point_at(voxel)

        self.act(lambda session: session.suggest(self.hand.label, go))

    def choose(self, name: str, **choices: Any) -> None:
        """Change how prompts are read, for the label in work and answers to come."""
        self.act(lambda session: session.choose(self.hand.label, name, **choices))

    def choose_encoder(self, name: str) -> None:
        """Change what describes the volume, and what the next of its kind begins with."""

        def choose(session: Session) -> None:
            session.choose(self.hand.label, "encoder", encoder=name)
            remember(session.volume.modality, name)

        self.act(choose)

    def see_with(self, images: list[Image]) -> None:
        """Let the encoder look at other layers of the same grid as well.

        Raises
        ------
        VolumeError
            Where one is not a grey volume on that grid.
        """
        others = tuple(volume_of(image) for image in images)
        self.require().see_with(self.hand.label, others)

    def take_over(self) -> None:
        """Go on here with what another window had."""
        self.act(lambda session: session.take_over())

    def result(self) -> NDArray[np.uint8 | np.uint16]:
        """The labels (z, y, x): what is seen, measured and saved."""
        session = self.require()
        return session.document.labels_of(session.volume.geometry.shape)

    def fingerprint_of(self, image: Image) -> str:
        """Hash of an image's volume, computed once; empty where it is not a volume."""
        if image not in self._prints:
            try:
                self._prints[image] = volume_of(image).fingerprint
            except DinomedError:
                self._prints[image] = ""
        return self._prints[image]

    # Inside

    def _show(self, before: Document, after: Document) -> None:
        if self.session is None or self.sheet is None:
            return
        self.sheet.point_at(None)
        self.sheet.show(before, after)
        self.hand.keep_to(self.session.document)
        self.document_changed.emit(after)
        if self._measuring is not None and before.masks != after.masks:
            self._measuring.follow(after)
        if self.session.is_saved:
            self.recovered.emit()

    def _show_early(self, part: SliceLabels) -> None:
        if self.session is not None and self.sheet is not None:
            self.sheet.show_early(part, self.session.document)

    def _show_settled(self) -> None:
        if self.session is not None and self.sheet is not None:
            self.sheet.show_settled(self.session.document)

    def _on_turned(self) -> None:
        self.turned.emit()

    def _on_view(self) -> None:
        view = None if self.sheet is None else self.sheet.view
        if self.session is not None and self.sheet is not None and view is not None:
            self.session.computing.look_at(view)
            self.sheet.look_at(view, self.session.document)

    def act(self, work: Callable[[Session], None]) -> None:
        """An act of the user; what it may not do is said."""
        self.attempt(lambda: work(self.require()))

    def attempt(self, work: Callable[[], None]) -> None:
        """Do something; an error that the user can understand is said."""
        try:
            work()
        except DinomedError as error:
            self.failed.emit(str(error))
            if self.session is not None:
                # Controls that show what was refused show again what is.
                self.document_changed.emit(self.session.document)
        else:
            self.recovered.emit()

    def require(self) -> Session:
        """The session; DinomedError where there is none."""
        if self.session is None:
            raise DinomedError("Open an image and choose it first.")
        return self.session
