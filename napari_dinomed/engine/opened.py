"""A volume that an engine has open, and all that was made of it so far.

In: a volume, then an encoding. Out: what answers are computed on, made when first needed
and forgotten with the encoding.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import psutil

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.errors import ForgottenError, VolumeError
from napari_dinomed.features.catalog import FILTERS
from napari_dinomed.features.device import answering_device
from napari_dinomed.features.encoder import make_encoder
from napari_dinomed.features.encoding import PlaneTokens, plans_for
from napari_dinomed.features.filters import GREY_CHANNEL
from napari_dinomed.segment.all_alike.appearance import AlikeField, Responses
from napari_dinomed.segment.defaults import defaults_for
from napari_dinomed.segment.one_object.method import ObjectField
from napari_dinomed.segment.segmenter import Fields, Scene
from napari_dinomed.taught.sight import sight_of
from napari_dinomed.taught.teach import Seen
from napari_dinomed.volume.volume import BYTES_PER_VOXEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_dinomed.engine.messages import SegmentVolume
    from napari_dinomed.features.encoding import Encoding
    from napari_dinomed.segment.probability import BoxProbability
    from napari_dinomed.volume import Volume


class EncodedVolume:
    """A volume whose tokens are there or on their way, and what answers need.

    Parameters
    ----------
    volume
        The volume; its voxels must be in memory before anything else is asked for.
    encoding
        Its tokens.
    say
        Told what the user should know.
    """

    def __init__(
        self, volume: Volume, encoding: Encoding, say: Callable[[str], None]
    ) -> None:
        self.volume = volume
        self.encoding = encoding
        self._say = say
        # What was looked at last, by what asked for its answer: for the planes to come.
        self.looked_at: tuple[SegmentVolume, BoxProbability] | None = None

    def hold(self) -> None:
        """Read all voxels: labels need them at every click.

        Raises
        ------
        VolumeError
            Where there is no room for that.
        """
        if self.volume.is_lazy:
            require_room(self.volume)
            self.volume = replace(self.volume, array=np.asarray(self.volume.array))

    @property
    def planes(self) -> tuple[PlaneTokens, ...]:
        """Tokens that clicks will need, as far as is known before any."""
        planes = self.encoding.planes
        is_known = self._usual_meaning is Meaning.ALL_LIKE_THIS
        return self.with_filters if is_known else planes

    @property
    def with_filters(self) -> tuple[PlaneTokens, ...]:
        """The encoder's tokens and the filters'; once where they are the same."""
        planes = self.encoding.planes
        return (*planes, self.filters) if self.encoding.encoder.is_learnt else planes

    def make_ready(self) -> Iterator[None]:
        """Make what a click will need, so that none waits for it; `planes` are complete.

        A lazy volume is read when labels are first asked for.
        """
        if self.volume.is_lazy:
            return
        if self._usual_meaning is Meaning.OBJECT:
            yield from self.objects.make_ready()
        else:
            yield None
            yield from self.alike.make_ready()

    @property
    def _usual_meaning(self) -> Meaning:
        """What a click on such a volume means unless the user says otherwise."""
        return defaults_for(self.volume.modality).meaning

    @property
    def scene(self) -> Scene:
        """What prompts are read against."""
        return Scene(self.volume, self.encoding.banks)

    @property
    def fields(self) -> Fields:
        """What answers are computed on."""
        return Fields(lambda: self.objects, lambda: self.alike)

    @property
    def seen(self) -> Seen:
        """How a taught model sees it; the tokens must be complete."""
        encoding, volume = self.encoding, self.volume
        encoder, banks = encoding.encoder, encoding.banks
        sight = sight_of(volume, encoding.planes)
        # Hashed once more: a cache's folders are named after the fingerprint itself.
        case = hashlib.blake2b(volume.fingerprint.encode(), digest_size=12).hexdigest()
        channels = banks[0].channels - encoder.position_channels
        return Seen(sight, volume, banks, channels, case)

    @cached_property
    def objects(self) -> ObjectField:
        """What single objects are found on; the tokens must be complete."""
        encoding = self.encoding
        channels = encoding.banks[0].channels - encoding.encoder.position_channels
        device = answering_device(encoding.encoder.torch_device)
        return ObjectField(self.volume, encoding.window, encoding.banks, channels, device)

    @cached_property
    def alike(self) -> AlikeField:
        """What every place looks like; the filters' tokens must be complete."""
        encoding, filters = self.encoding, self.filters
        channels = filters.bank.channels - filters.encoder.position_channels
        learnt = encoding.banks if encoding.encoder.is_learnt else ()
        responses = Responses(filters.bank, channels, GREY_CHANNEL)
        return AlikeField(self.volume, responses, learnt)

    @cached_property
    def filters(self) -> PlaneTokens:
        """Filter responses beside a learnt encoder's tokens; begun when first needed."""
        encoding = self.encoding
        if not encoding.encoder.is_learnt:
            return encoding.planes[0]
        encoder = make_encoder(FILTERS.name, "cpu", self._say)
        plan = plans_for(self.volume, encoder, "one")[0]
        return PlaneTokens.begun(
            self.volume, encoding.window, plan, encoder, FILTERS.name, self._say
        )


class OpenedVolume:
    """A volume that is open, encoded or not.

    Parameters
    ----------
    volume
        The volume.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._encoded: EncodedVolume | None = None

    @property
    def volume(self) -> Volume:
        """The volume, in memory if that was ever needed."""
        return self._volume if self._encoded is None else self._encoded.volume

    @property
    def encoded(self) -> EncodedVolume:
        """The volume with its present encoding.

        Raises
        ------
        ForgottenError
            Where there is none yet.
        """
        if self._encoded is None:
            raise ForgottenError("Compute the volume's features first, then click.")
        return self._encoded

    def encode(self, encoding: Encoding, say: Callable[[str], None]) -> EncodedVolume:
        """Take an encoding for the present one; all that came of the old one goes."""
        self._volume = self.volume
        self._encoded = EncodedVolume(self._volume, encoding, say)
        return self._encoded

    def has(self, encoded: EncodedVolume) -> bool:
        """Whether that is the present encoding still."""
        return self._encoded is encoded


def require_room(volume: Volume) -> None:
    """Raise `VolumeError` where labels of a volume would not fit into memory."""
    needed = float(np.prod(volume.array.shape, dtype=np.float64)) * BYTES_PER_VOXEL
    free = psutil.virtual_memory().available
    if needed > free:
        raise VolumeError(
            f"Labelling {volume.geometry} takes about {needed / 1e9:.3g} GB of memory, of "
            f"which {free / 1e9:.3g} GB are free. Open a coarser level of it, or a part; "
            "'apply --in-store' labels an OME-Zarr block by block."
        )
