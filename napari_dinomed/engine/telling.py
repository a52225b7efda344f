"""What a whole volume is, by a model of whole volumes, as an engine's request.

In: complete features of a volume, and a model. Out: how probable each label is, and which
of the volumes that taught look most like it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import ToldLabel, VolumeTold
from napari_dinomed.errors import ModelError
from napari_dinomed.taught.header import differences
from napari_dinomed.taught.sight import sight_of
from napari_dinomed.whole.model import read_whole_model
from napari_dinomed.whole.pooling import pooled

if TYPE_CHECKING:
    from napari_dinomed.engine.messages import TellVolume
    from napari_dinomed.engine.opened import EncodedVolume

# Volumes that are named as most similar: as many as one looks up.
_MOST_SIMILAR = 3


def volume_told(request: TellVolume, encoded: EncodedVolume) -> VolumeTold:
    """Read a whole volume.

    Raises
    ------
    ModelError
        Where the model cannot be read, was taught by another encoder, or within a region.
    """
    model, first = read_whole_model(Path(request.model)), encoded.encoding.planes[0]
    own, sight = sight_of(encoded.volume, [first]), model.header.sight
    model.require_encoder(own.encoder, own.signature)
    if (refusal := model.refusal(is_within=False)) is not None:
        raise ModelError(refusal)
    channels = first.bank.channels - first.encoder.position_channels
    features = pooled(first.bank, channels)[None]
    labels = tuple(
        ToldLabel(
            label,
            float(model.predict(label, features)[0]),
            head.figures.auroc,
            model.most_similar(label, features, _MOST_SIMILAR),
        )
        for label, head in model.header.heads.items()
    )
    return VolumeTold(labels, differences(sight, own))
