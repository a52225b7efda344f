"""Made-up CT of any size."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinomed.bench.large import large_ct
from napari_dinomed.volume.volume import guess_modality


@pytest.mark.parametrize("shape", [(16, 24, 32), (20, 200, 130)])
def test_a_made_up_ct_is_as_large_as_it_is_wanted(shape):
    volume, spleen = large_ct(shape)
    assert (volume.array.shape, spleen.shape) == (shape, shape)
    assert volume.array.dtype == np.int16
    assert guess_modality(volume.array, patient=True) == volume.modality == "CT"
    # The spleen is brighter than the fat around it, and has noise.
    assert 80 < volume.array[spleen].mean() < 160
    assert volume.array[spleen].std() > 5
