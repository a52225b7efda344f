"""Labels made again from what is kept of their making: the same voxels, or what differs.

In: a saved document and its volume. Out: the document as it is when each of its steps is
done once more. The engine is asked each question again; what a hand, a tool or another
file brought is put back voxel by voxel.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_dinomed.annotation.making import BLANK, Answer, Change
from napari_dinomed.annotation.mask import Mask
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.messages import EncodeVolume, SegmentVolume, open_request
from napari_dinomed.errors import DinomedError, DocumentError
from napari_dinomed.io import can_read, read_volume
from napari_dinomed.volume import Window, seen_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.making import Features
    from napari_dinomed.engine.messages import Encoded, Event, Segmented
    from napari_dinomed.session.file import SavedDocument
    from napari_dinomed.volume import Volume

    OnEvent = Callable[[Event], None]

_NAME = "replayed"


@dataclass(frozen=True)
class Differing:
    """A label that was made otherwise this time.

    Parameters
    ----------
    name
        The label's.
    saved, made, common
        Voxels that were saved, that were made now, and that are in both.
    """

    name: str
    saved: int
    made: int
    common: int

    @property
    def dice(self) -> float:
        """Agreement, from 0 to 1."""
        return 2 * self.common / (self.saved + self.made)


@dataclass(eq=False)
class Replay:
    """Does the steps of a saved document again.

    Parameters
    ----------
    saved
        What is kept.
    volume
        What it is of.
    others
        Further images that the encoder saw.
    encoder
        What to compute with in the place of a file of weights, of which it is a copy.
    device
        Where to compute.
    on_event
        Told of progress and notices.
    """

    saved: SavedDocument
    volume: Volume
    others: Sequence[Volume] = ()
    encoder: str | None = None
    device: str = "auto"
    on_event: OnEvent | None = None
    _engine: Engine = field(default_factory=Engine)
    _seen: tuple[str, Features, tuple[str, ...]] | None = None

    def run(self) -> Document:
        """The document made again.

        Raises
        ------
        DocumentError
            Where the volume is another one, or it was not kept how the document was made.
        DinomedError
            Where the encoder or an image that it saw cannot be had.
        """
        self.saved.require_volume(self.volume.fingerprint, "What is to be replayed")
        if not self.saved.made:
            raise DocumentError("It was not kept how these labels were made.")
        document = BLANK
        try:
            for deed in self.saved.made:
                if isinstance(deed, Change):
                    document = deed.done_to(document)
                else:
                    document = self._answered(document, deed)
        except ValueError as error:
            raise DocumentError(f"A step cannot be done again: {error}") from error
        return document

    def _answered(self, document: Document, answer: Answer) -> Document:
        self._see(document, answer.features)
        label = answer.label
        prompts = document.prompts
        request = SegmentVolume(
            _NAME,
            prompts.until_last_of(label) if label else prompts,
            document.labels,
            head=document.choices.head,
            threshold=document.choices.threshold,
            preview=False,
            wanted=(label,) if label else (),
            starts={n: mask for n, mask in document.starts.items() if n == label},
        )
        found: Segmented = self._engine.run(request, self.on_event)
        if label:
            return document.answered(label, found.mask(label))
        masks = Mask.split(found.paste(self.volume.array.shape))
        return replace(document, masks=masks, waiting=())

    def _see(self, document: Document, features: Features) -> None:
        """Have the features that an answer was read from."""
        choices = document.choices
        wanted = (choices.encoder, features, choices.others)
        if wanted == self._seen:
            return
        self._engine.run(open_request(_NAME, self._volume_with(choices.others)))
        window = Window(features.low, features.high)
        name = self._encoder_for(choices.encoder)
        request = EncodeVolume(
            _NAME, name, window, device=self.device, planes=features.planes
        )
        encoded: Encoded = self._engine.run(request, self.on_event)
        if encoded.signature != features.encoder:
            raise DocumentError(
                f"The labels were made with the encoder {features.encoder}, but {name} is "
                f"{encoded.signature} here. Bring the same weights and name them by "
                "--encoder."
            )
        self._seen = wanted

    def _encoder_for(self, name: str) -> str:
        """What to compute with; a file of weights has another place here."""
        if not name.startswith("file:"):
            return name
        if self.encoder is None:
            raise DocumentError(
                f"The labels were made with weights from the file "
                f"{name.removeprefix('file:')}. Say where it is by --encoder file:PATH."
            )
        return self.encoder

    def _volume_with(self, prints: tuple[str, ...]) -> Volume:
        known = {other.fingerprint: other for other in self.others}
        missing = [one for one in prints if one not in known]
        if missing:
            raise DocumentError(
                f"The encoder saw {len(prints)} further images, of which {len(missing)} "
                "are not there. Name them by --also."
            )
        return seen_with(self.volume, [known[one] for one in prints])


def differing(saved: Document, made: Document) -> list[Differing]:
    """Labels whose voxels are not the same."""
    return [
        Differing(label.name, old.count, new.count, (old & new).count)
        for label in saved.labels
        if (old := saved.mask(label.id)) != (new := made.mask(label.id))
    ]


def brought(saved: SavedDocument) -> Counter[str]:
    """Steps that brought voxels as they are, and how often: brush, tools, other files."""
    answered = (deed for deed in saved.made if isinstance(deed, Change))
    return Counter(deed.name for deed in answered if deed.hand or deed.starts)


def find_volume(folder: Path, saved: SavedDocument) -> Volume:
    """The volume of a document, among the files of a folder.

    Raises
    ------
    DocumentError
        Where it is not there.
    """
    for volume in _volumes(folder, saved):
        if volume.fingerprint == saved.volume:
            return volume
    raise DocumentError(
        "The image that the labels were made on does not lie beside them. Name it by "
        "--image."
    )


def _volumes(folder: Path, saved: SavedDocument) -> Iterator[Volume]:
    for path in sorted(folder.iterdir()):
        if not can_read(path):
            continue
        try:
            volume = read_volume(path, saved.pick)
        except DinomedError:
            continue
        if volume.geometry.shape == saved.geometry.shape:
            yield volume
