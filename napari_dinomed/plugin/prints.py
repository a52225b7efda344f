"""Which image is which: hashes of their volumes, computed once.

In: images. Out: their hashes, and the volumes of those that a document is seen with.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError
from napari_dinomed.plugin.layers import volume_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from napari.layers import Image

    from napari_dinomed.volume import Volume


class Prints:
    """Hashes of images' volumes."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Image, str] = weakref.WeakKeyDictionary()

    def of(self, image: Image) -> str:
        """Hash of an image's volume; empty where it is not a volume."""
        if image not in self._known:
            try:
                self._known[image] = volume_of(image).fingerprint
            except DinomedError:
                self._known[image] = ""
        return self._known[image]

    def forget(self, image: Image) -> None:
        """Compute it again when it is asked for: the image has other voxels."""
        self._known.pop(image, None)

    def found(self, images: Iterable[Image], wanted: Collection[str]) -> Iterator[Volume]:
        """Volumes of the images whose hash is among those wanted."""
        for image in images if wanted else ():
            if self.of(image) in wanted:
                yield volume_of(image)
