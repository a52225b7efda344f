"""What a request for labels is answered with: who answers, and the slice in view first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinomed.engine.messages import SliceLabels
from napari_dinomed.segment.segmenter import PlaneLabels, make_segmenter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinomed.engine.messages import SegmentVolume
    from napari_dinomed.engine.opened import EncodedVolume
    from napari_dinomed.features.encoding import Encoding
    from napari_dinomed.segment.segmenter import Segmenter


def segmenter_for(request: SegmentVolume, encoded: EncodedVolume) -> Segmenter:
    """Who answers a request."""
    return make_segmenter(
        encoded.scene,
        request.prompts,
        request.labels,
        request.head,
        request.threshold,
        request.wanted,
        request.starts,
    )


def preview_slice(
    encoding: Encoding, segmenter: Segmenter, request: SegmentVolume
) -> Iterator[SliceLabels]:
    """Labels of the slice in view, from no more tokens than that takes."""
    voxels, _ = request.prompts.marks()
    first = encoding.planes[0]
    first.require_slices(voxels[:, 0])
    if request.preview and request.view_axis == 0 and segmenter.is_seen_early:
        first.require_slices(np.array([request.view_index]))
        plane = segmenter.label_slice(request.view_index)
        yield slice_labels(PlaneLabels(0, request.view_index, plane), request)


def slice_labels(found: PlaneLabels, request: SegmentVolume) -> SliceLabels:
    """Labels of a plane, as they are sent."""
    return SliceLabels(found.axis, found.index, found.labels, request.generation)
