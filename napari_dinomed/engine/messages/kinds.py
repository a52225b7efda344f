"""All kinds of messages, by who sends them."""

from __future__ import annotations

from napari_dinomed.engine.messages.encoders import (
    Describe,
    Described,
    Fetched,
    FetchWeights,
    Prepare,
    Prepared,
)
from napari_dinomed.engine.messages.encoding import (
    Begun,
    Encoded,
    EncodeVolume,
    Estimated,
    EstimateEncoding,
    Judged,
    JudgeEncoding,
)
from napari_dinomed.engine.messages.line import Cancel, Failed, Hello, Ping, Pong, Withdrawn
from napari_dinomed.engine.messages.progress import Notice, Progress
from napari_dinomed.engine.messages.segmenting import (
    PlaneProbability,
    ReadProbability,
    Segmented,
    SegmentVolume,
    SliceLabels,
    SuggestClick,
    Suggested,
)
from napari_dinomed.engine.messages.teaching import (
    Adapted,
    AdaptEncoder,
    Proposed,
    ProposeLabels,
    Taught,
    TeachModel,
    TellVolume,
    VolumeTold,
)
from napari_dinomed.engine.messages.volumes import (
    Closed,
    CloseVolume,
    Kept,
    Lacking,
    Opened,
    OpenSent,
    OpenSource,
    OpenVolume,
    SendPiece,
)

Request = (
    Describe
    | OpenVolume
    | OpenSource
    | CloseVolume
    | EncodeVolume
    | SegmentVolume
    | SuggestClick
    | ReadProbability
    | ProposeLabels
    | TeachModel
    | TellVolume
    | EstimateEncoding
    | JudgeEncoding
    | AdaptEncoder
    | FetchWeights
    | Prepare
)

Sending = OpenSent | SendPiece
"""What an engine elsewhere is asked on behalf of an `OpenVolume` or `OpenSource`."""

Event = Progress | Begun | Notice | SliceLabels
Result = (
    Described
    | Opened
    | Lacking
    | Kept
    | Encoded
    | Segmented
    | Suggested
    | PlaneProbability
    | Proposed
    | Taught
    | VolumeTold
    | Estimated
    | Judged
    | Adapted
    | Closed
    | Fetched
    | Prepared
)
Reply = Event | Result | Failed | Withdrawn | Hello | Pong
Message = Request | Sending | Reply | Cancel | Ping
