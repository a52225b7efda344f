"""A session: what the user does to a document, and the answers that complete it.

In: the user's acts and the engine's answers. Out: one history of documents, saved at every
change, and signals of what changed. No window is needed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinomed.annotation.choices import Choices
from napari_dinomed.annotation.document import Document
from napari_dinomed.annotation.history import History, Step
from napari_dinomed.annotation.labels import Meaning, State
from napari_dinomed.errors import DocumentError
from napari_dinomed.features.naming import EncoderName
from napari_dinomed.session.computing import Computing
from napari_dinomed.session.deferred import Deferred, Queue
from napari_dinomed.session.file import SavedDocument, load_document, save_document
from napari_dinomed.session.keeping import Keeping, require_own
from napari_dinomed.session.models import Models
from napari_dinomed.session.own_weights import remember_weights, without_foreign_weights
from napari_dinomed.session.provenance import pick_of, versions
from napari_dinomed.session.steps import name_of
from napari_dinomed.volume import require_seen_together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinomed.annotation.mask import Mask
    from napari_dinomed.annotation.prompts import Prompt, Voxel
    from napari_dinomed.engine.messages import Suggested
    from napari_dinomed.session.asking import Asks, Deliver
    from napari_dinomed.session.autosave import Autosave
    from napari_dinomed.volume import Volume


class Session:
    """A user's work on one volume.

    Parameters
    ----------
    volume
        The volume.
    engine
        Who computes.
    autosave
        Where the document is kept; nowhere if None.
    deliver
        Runs a function on the thread that owns this session.
    meaning
        What a click means for the first label.
    encoder
        What a document begins with that nothing was kept of.
    """

    changed = Signal(Document, Document)
    noticed = Signal(str)
    failed = Signal(str)

    def __init__(
        self,
        volume: Volume,
        engine: Asks,
        autosave: Autosave | None = None,
        deliver: Deliver = lambda work: work(),
        meaning: Meaning = Meaning.OBJECT,
        encoder: str = Choices.encoder,
    ) -> None:
        self.volume = volume
        self.fingerprint = volume.fingerprint
        begun = replace(Document.begun(meaning), choices=Choices(encoder=encoder))
        self._history = History(begun)
        self._deferred = Queue(lambda text: self.noticed.emit(text))
        self.keeping = Keeping(
            volume,
            autosave,
            self._only_look,
            lambda text: self.noticed.emit(text),
            lambda text: self.failed.emit(text),
        )
        self.models = Models(self)
        self.computing = Computing(volume, engine, self.document, deliver)
        self.computing.answered.connect(self._take_answer)
        self.computing.encoder_lost.connect(self._choose_encoder)
        self.computing.gave_up.connect(self._deferred.withdraw)
        self.computing.noticed.connect(lambda text: self.noticed.emit(text))
        self.computing.failed.connect(lambda text: self.failed.emit(text))

    @property
    def document(self) -> Document:
        """Everything made so far."""
        return self._history.present

    @property
    def history(self) -> History:
        """What undo and redo would do."""
        return self._history

    @property
    def is_read_only(self) -> bool:
        """Whether another window has the volume, so that nothing is changed here."""
        return self.computing.is_paused

    def require_own_window(self) -> None:
        """Raise `DocumentError` where this window only looks."""
        if self.is_read_only:
            raise DocumentError(
                "This window only looks at the volume. Take over to change its labels."
            )

    # Opening and keeping

    def open(self, earlier: History | None = None, was_saved: bool = True) -> None:
        """Take up what was kept of this volume; nothing is written.

        Parameters
        ----------
        earlier
            Steps of a session before: where they led to what was kept, they can be taken
            back here too.
        was_saved
            Whether what they led to was kept. Else that is tried again, beside what another
            window wrote if need be.
        """
        if not self.keeping.claim():
            self.computing.is_paused = True
            self.noticed.emit(
                "This volume is open in another window. This one only looks; take over to "
                "go on here."
            )
        may_save = self.keeping.is_unchanged and not self.is_read_only
        self._take_kept()
        if earlier is not None and earlier.present == self.document:
            self._history = earlier
        elif earlier is not None and not was_saved:
            self._take_unsaved(earlier, may_save)

    def _take_unsaved(self, earlier: History, may_save: bool) -> None:
        """Go on with what was not kept, or keep it beside what another window wrote."""
        kept, self._history = self._history, earlier
        if may_save:
            self._save()
            self.changed.emit(kept.present, self.document)
            self.computing.adopt(self.document)
        else:
            self.keeping.save_aside(self.to_save)
            self._history = kept

    def take_over(self) -> None:
        """Go on here with what another window saved; that one only looks from then on."""
        if not self.is_read_only:
            return
        self.keeping.claim()
        mine, made = self.document, self._history.made
        self.computing.is_paused = False
        self._take_kept()
        if not self.keeping.is_saved and self.document != mine:
            taken = self._history
            step = Step("take over", mine, made)
            self._history = History(self.document, (step,), made=taken.made)
        self._save()
        # What was saved is shown by now; that it may be changed is news.
        self.changed.emit(self.document, self.document)
        self.computing.go_on()

    def _take_kept(self) -> None:
        """Make what was kept the floor of the history."""
        saved = self.keeping.read()
        if saved is None:
            return
        taken = self._with_own_weights(saved.document)
        before, self._history = self.document, History(saved.document, made=saved.made)
        if taken != saved.document:
            self._history = self._history.amended(taken)
        self.changed.emit(before, taken)
        self.computing.adopt(taken)

    def _with_own_weights(self, document: Document) -> Document:
        """A document does not choose a file to load: only the user does."""
        taken, said = without_foreign_weights(document)
        if said:
            self.noticed.emit(said)
        return taken

    def resume(self, path: Path) -> None:
        """Go on with a document from a file; undo goes back to the one before.

        Raises
        ------
        ReadError
            Where the file cannot be read.
        DocumentError
            Where it belongs to another volume, or a label here is done.
        """
        saved = load_document(path)
        require_own(saved, self.volume, path.name)
        self.document.require_all_open()
        document = self._with_own_weights(saved.document)
        self.change(document, f"open {path.name}", "open a copy")

    def save(self, path: Path) -> None:
        """Write the document to a file of the user's choice; errors as `save_document`."""
        save_document(path, self.to_save())

    def close(self) -> None:
        """Let the engine forget the volume, and others have the document."""
        self._deferred.close()
        if self.models.parting:
            self.noticed.emit(self.models.parting)
        if not self.keeping.is_saved:
            self._save_last()
        self.computing.close()
        self.keeping.release()

    # What the user does

    def change(self, document: Document, name: str, kept: str | None = None) -> None:
        """Make a new document the present one.

        Parameters
        ----------
        document
            The document.
        name
            What undo will take back.
        kept
            The same as it is kept on disk, where the name tells of a file.
        """
        self._move(self._history.then(document, name, kept))

    def add(self, prompt: Prompt) -> None:
        """One more prompt; errors as `Document.with_prompt`."""
        named = name_of(prompt, self.document)
        self.change(self.document.with_prompt(prompt), named)

    def suggest(self, label: int, take: Callable[[Voxel], None]) -> None:
        """Ask where the next click on a label would tell most; told if nothing has changed.

        Raises
        ------
        DocumentError
            Where nothing was said of it yet, it is done, or no answer can be had now.
        """
        document = self.document
        document.require_open(label)
        name = document.find(label).name
        if label in document.waiting or not document.prompts.of(label):
            raise DocumentError(f"Click on {name} first, and wait for the answer.")

        def told(suggested: Suggested) -> None:
            if self.document is not document:
                return
            if suggested.voxel is None:
                self.noticed.emit(f"Nothing of {name} is in doubt.")
            else:
                take(suggested.voxel)

        self.computing.suggest(label, told)

    def undo(self) -> None:
        """Take back the last step."""
        self.move(-1)

    def redo(self) -> None:
        """Make the step again that was taken back last."""
        self.move(1)

    def move(self, steps: int) -> None:
        """Make so many steps again, or take them back where they are negative."""
        self._deferred.withdraw()
        self._move(self._history.moved(steps))

    def choose(self, label: int, name: str, **choices: Any) -> None:
        """Change how prompts are read, for the answers to come and to this label.

        Raises
        ------
        WeightsError
            Where no encoder can be called that.
        """
        chosen = replace(self.document.choices, **choices)
        EncoderName.parse(chosen.encoder)
        remember_weights(chosen.encoder)
        if chosen != self.document.choices:
            self.change(replace(self.document, choices=chosen).asking(label), name)

    def see_with(self, label: int, others: tuple[Volume, ...]) -> None:
        """Let the encoder look at further images of the same voxels as well.

        Raises
        ------
        VolumeError
            Where they do not lie on the volume's grid.
        """
        require_seen_together(self.volume, others)
        prints = self.computing.know(others)
        self.choose(label, "images seen together", others=prints)

    def finish(self, label: int) -> None:
        """Lock a label as it is, once its last prompt is answered."""
        name = f"locking {self.document.find(label).name}"
        self.after_answers(Deferred(name, partial(self._finish, label), label))

    def _finish(self, label: int) -> None:
        if self.document.has(label):
            known = self.document.find(label)
            document = self.document.with_label(replace(known, state=State.DONE))
            left = tuple(number for number in document.waiting if number != label)
            self.change(replace(document, waiting=left), f"{known.name} done")

    def reopen(self, label: int) -> None:
        """Unlock a label."""
        known = self.document.find(label)
        opened = self.document.with_label(replace(known, state=State.OPEN))
        self.change(opened, f"open {known.name} again")

    def after_answers(self, act: Deferred) -> None:
        """Do something once the answers that it waits for are in; at once if none is."""
        waiting = self.document.waiting
        if act.waits(waiting) and self.computing.is_answering:
            self._deferred.put(act)
            return
        act.work()
        if act.label is None and waiting:
            self.noticed.emit(
                "Your last click is not answered yet: compute features to have it in."
            )

    # Inside

    def _move(self, history: History) -> None:
        if history is self._history:
            return
        self.require_own_window()
        self._become(history)

    def _take_answer(self, label: int, answer: Mask) -> None:
        if self.is_read_only or label not in self.document.waiting:
            return
        features = self.computing.features
        self._become(self._history.answered(label, answer, features))
        self._deferred.release(self.document.waiting)

    def _choose_encoder(self, working: str) -> None:
        """An encoder that cannot be had does not stay chosen."""
        choices = replace(self.document.choices, encoder=working)
        self._become(self._history.amended(replace(self.document, choices=choices)))

    def _become(self, history: History) -> None:
        """Keep another present document, show it, and have it answered."""
        before, self._history = self.document, history
        self._save()
        self.changed.emit(before, self.document)
        self.computing.follow(self.document)

    def to_save(self) -> SavedDocument:
        """The document as it is now, and how it was made."""
        computing = self.computing
        return SavedDocument(
            self.fingerprint,
            self.volume.geometry,
            computing.window,
            computing.features.encoder,
            self.document,
            self._history.made,
            pick_of(self.volume),
            versions(),
        )

    def _save(self) -> None:
        if not self.is_read_only:
            self.keeping.save(self.to_save)

    def _save_last(self) -> None:
        """Keep what is not on disk yet, beside what another window wrote if need be."""
        if self.is_read_only:
            self.keeping.save_aside(self.to_save)
        else:
            self.keeping.save(self.to_save)

    def _only_look(self) -> None:
        """Another window has the volume: nothing is changed here any more."""
        self.computing.is_paused = True
        self.computing.cancel()
