"""Between a viewer and a session: binding an image, and what the user does to its document.

In: a viewer's images and the user's acts. Out: one session at a time, and its layers.
No widget is needed: everything here works on a `ViewerModel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_dinomed.annotation.document import Document
from napari_dinomed.errors import BROKEN, DinomedError
from napari_dinomed.plugin.beginning import Beginning
from napari_dinomed.plugin.binding import Binding, Left
from napari_dinomed.plugin.encoders import remember
from napari_dinomed.plugin.exchange import Exchange
from napari_dinomed.plugin.hand import Hand
from napari_dinomed.plugin.keys import Keys
from napari_dinomed.plugin.label_list import LabelList
from napari_dinomed.plugin.layers import (
    forget_voxels,
    is_image,
    share_unit,
    volume_of,
    widen_contrast_range,
)
from napari_dinomed.plugin.prints import Prints
from napari_dinomed.plugin.turns import Turns
from napari_dinomed.plugin.viewport import Viewport
from napari_dinomed.session.activity import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinomed.plugin.sheet import Sheet
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.session.session import Session


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
    """The viewer shows another plane, 3-D or four of them, or a probability or none."""
    asked_for_help = Signal()
    draft_undone = Signal()
    judged = Signal(bool)
    """The case under review is accepted, or rejected."""
    asked_for_four = Signal()
    acted = Signal(Activity)
    said = Signal(str)
    refused = Signal(str)
    """Why an act of the user is not possible now; nothing is broken."""
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
        self.turns = Turns(deliver)
        self._engine = engine
        self._deliver = deliver
        self._binding: Binding | None = None
        self._left: WeakKeyDictionary[Image, Left] = WeakKeyDictionary()
        self._beginning = Beginning(
            viewer.layers,
            self._steps_of,
            lambda work: (later or deliver)(lambda: self.turns.run(work)),
            self._on_given_up,
            lambda why: self.failed.emit(why),
        )
        self._is_syncing = self._image_came = self.is_closed = False
        self.prints = Prints()
        self.hand = Hand(self)
        self.labels = LabelList(self)
        self.viewport = Viewport(self)
        self.exchange = Exchange(self, deliver)
        self.keys = Keys(self)
        layers = list(viewer.layers)
        for place, layer in enumerate(layers):
            share_unit(layer, layers[:place])
            layer.events.name.connect(self._on_layers)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_layers)
        dims = viewer.dims.events
        dims.current_step.connect(self._on_view)
        for event in (dims.order, dims.ndisplay):
            event.connect(self._on_turned)

    # What is bound

    @property
    def session(self) -> Session | None:
        """The session of the image that is bound."""
        return None if self._binding is None else self._binding.session

    @property
    def image(self) -> Image | None:
        """The image that is bound."""
        return None if self._binding is None else self._binding.image

    @property
    def sheet(self) -> Sheet | None:
        """The layers that show its document."""
        return None if self._binding is None else self._binding.sheet

    @property
    def is_beginning(self) -> bool:
        """Whether an image is about to be bound."""
        return self._beginning.image is not None

    @property
    def chosen(self) -> Image | None:
        """The image that is bound, or about to be."""
        coming = self._beginning.image
        return self.image if coming is None else coming

    def require(self) -> Session:
        """The session; DinomedError where there is none."""
        if self.session is None:
            raise DinomedError("Open an image and choose it first.")
        return self.session

    # Binding

    def bind(self, image: Image) -> None:
        """Begin with an image: its document is taken up where it was left.

        Raises
        ------
        VolumeError
            Where the layer is not a grey volume.
        """
        for _ in self._steps_of(image):
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
        self._beginning.begin(image, then)

    def _on_given_up(self, image: Image | None) -> None:
        """Leave an image that is not bound yet: nothing of it stays half done."""
        if image is not None and image == self.image:
            self._leave_image()
        # Whoever said that it is about to come says what is there instead.
        self.bound.emit()

    def _steps_of(self, image: Image) -> Iterator[None]:
        """The steps of binding an image; none takes long, and what is half done holds."""
        is_whole = not self.is_beginning
        self._beginning.forget()
        # The window may have been closed while a volume was read for it.
        if self.is_closed or (image == self.image and is_whole):
            return
        volume = volume_of(image)
        volume.require_content()
        yield
        self._leave_image()
        yield
        left = self._left.get(image)
        binding = Binding(self, image, volume, self._engine, self._deliver, left)
        self._binding, session = binding, binding.session
        binding.open()
        self._tell_of_others(session)
        widen_contrast_range(image, volume)
        yield
        sheet = binding.lay_out()
        yield
        yield from sheet.come_up()
        self.viewport.bring_into_view(sheet.result.layer)
        self._on_view()
        self.hand.begin_with(session.document)
        self.bound.emit()
        self.document_changed.emit(session.document)
        binding.measure()
        self.acted.emit(session.computing.activity)
        # Layers that came meanwhile are looked at now.
        self._on_layers()

    def bind_again(self, keeps_labels: bool = False) -> None:
        """Bind the image anew, whose voxels are others now, or have other sizes."""
        image, session = self.image, self.session
        if image is None or session is None:
            return
        document = session.document
        forget_voxels(image)
        self.prints.forget(image)
        self.unbind()
        self.attempt(lambda: self.bind(image))
        if keeps_labels and self.session is not None and not document.is_blank:
            self.act(lambda session: session.change(document, "other voxel sizes"))

    def unbind(self) -> None:
        """Leave the image: its layers go, its document is kept."""
        self._beginning.forget()
        self._leave_image()

    def _leave_image(self) -> None:
        binding, self._binding = self._binding, None
        if binding is not None:
            binding.let_go()
            if binding.left is not None:
                self._left[binding.image] = binding.left
            if binding.sheet is not None:
                binding.sheet.remove()
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
        binding, self._binding = self._binding, None
        if binding is not None:
            binding.end()

    def _fall_silent(self) -> None:
        self.is_closed = True
        self._beginning.forget()
        self.turns.end()
        for name, one in vars(type(self)).items():
            if isinstance(one, Signal):
                getattr(self, name).disconnect()
        layers, dims = self.viewer.layers, self.viewer.dims.events
        for layer in layers:
            layer.events.name.disconnect(self._on_layers)
        layers.events.inserted.disconnect(self._on_inserted)
        layers.events.removed.disconnect(self._on_layers)
        dims.current_step.disconnect(self._on_view)
        for event in (dims.order, dims.ndisplay):
            event.disconnect(self._on_turned)
        self.hand.end()
        self.keys.end()

    # The viewer's layers

    @property
    def images(self) -> list[Image]:
        """Images that could be segmented."""
        return [layer for layer in self.viewer.layers if is_image(layer)]

    def _on_inserted(self, event: Any) -> None:
        self._image_came |= is_image(event.value)
        share_unit(event.value, self.viewer.layers)
        event.value.events.name.connect(self._on_layers)
        self._on_layers()

    def _on_layers(self) -> None:
        """Layers came or went: look at them once that is over."""
        if self._is_syncing or (self.sheet is not None and self.sheet.is_showing):
            return
        self._is_syncing = True
        self.turns.soon(self._sync)

    def _sync(self) -> None:
        """Make what is bound follow the layers that are there."""
        self._is_syncing = False
        self._beginning.follow_layers()
        if self.image is not None and self.image not in self.viewer.layers:
            # Another one that is about to be bound goes on.
            self._leave_image()
        if not self.is_beginning and self.session is not None and self.sheet is not None:
            self._tell_of_others(self.session)
            if self.sheet.is_drafted and self.sheet.result.layer not in self.viewer.layers:
                self.draft_undone.emit()
            if self.sheet.keep_up() or self._image_came:
                self.hand.take_up_again()
        self._image_came = False
        self.images_changed.emit()
        self.exchange.take_dropped()

    def _tell_of_others(self, session: Session) -> None:
        """Tell of images in the viewer that the document says it is seen with."""
        others = session.document.choices.others
        session.computing.know(tuple(self.prints.found(self.images, others)))

    def _on_turned(self) -> None:
        self.turned.emit()
        self._on_view()

    def _on_view(self) -> None:
        if self._binding is not None:
            self._binding.look()

    # What the user does

    def undo(self) -> None:
        """Take back the last step, or a preview, which is none yet."""
        if self.sheet is not None and self.sheet.is_drafted:
            self.draft_undone.emit()
        else:
            self.move(-1)

    def redo(self) -> None:
        """Make it again."""
        self.move(1)

    def move(self, steps: int) -> None:
        """Make so many steps again, or take them back where they are negative."""

        def moved(session: Session) -> None:
            before = session.document
            session.move(steps)
            self.hand.turn_to(before, session.document)

        self.act(moved)

    def choose(self, name: str, **choices: Any) -> None:
        """Change how prompts are read, for the label in work and answers to come."""
        self.act(lambda session: session.choose(self.hand.label, name, **choices))

    def choose_encoder(self, name: str, **choices: Any) -> None:
        """Change what describes the volume, and what the next of its kind begins with."""

        def choose(session: Session) -> None:
            session.choose(self.hand.label, "encoder", encoder=name, **choices)
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

    def act(self, work: Callable[[Session], None]) -> None:
        """An act of the user; what it may not do is said."""
        self.attempt(lambda: work(self.require()))

    def attempt(self, work: Callable[[], None]) -> None:
        """Do something; an error that the user can understand is said."""
        try:
            work()
        except DinomedError as error:
            tell = self.failed if isinstance(error, BROKEN) else self.refused
            tell.emit(str(error))
            if self.session is not None:
                # Controls that show what was refused show again what is.
                self.document_changed.emit(self.session.document)
        else:
            self.recovered.emit()
