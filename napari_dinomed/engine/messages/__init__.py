"""What is asked of an engine, and what it answers.

A request is handled by a generator of events that ends with one result. The same values
are used in process and over the wire.
"""

from napari_dinomed.engine.messages.encoders import (
    Describe,
    Described,
    EncoderInfo,
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
from napari_dinomed.engine.messages.kinds import (
    Event,
    Message,
    Reply,
    Request,
    Result,
    Sending,
)
from napari_dinomed.engine.messages.line import Cancel, Failed, Hello, Ping, Pong, Withdrawn
from napari_dinomed.engine.messages.plain import Envelope, from_plain, to_plain
from napari_dinomed.engine.messages.progress import Notice, Progress, Stage
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
    open_request,
)

__all__ = [
    "AdaptEncoder",
    "Adapted",
    "Begun",
    "Cancel",
    "CloseVolume",
    "Closed",
    "Describe",
    "Described",
    "EncodeVolume",
    "Encoded",
    "EncoderInfo",
    "Envelope",
    "EstimateEncoding",
    "Estimated",
    "Event",
    "Failed",
    "FetchWeights",
    "Fetched",
    "Hello",
    "JudgeEncoding",
    "Judged",
    "Kept",
    "Lacking",
    "Message",
    "Notice",
    "OpenSent",
    "OpenSource",
    "OpenVolume",
    "Opened",
    "Ping",
    "PlaneProbability",
    "Pong",
    "Prepare",
    "Prepared",
    "Progress",
    "ProposeLabels",
    "Proposed",
    "ReadProbability",
    "Reply",
    "Request",
    "Result",
    "SegmentVolume",
    "Segmented",
    "SendPiece",
    "Sending",
    "SliceLabels",
    "Stage",
    "SuggestClick",
    "Suggested",
    "Taught",
    "TeachModel",
    "Withdrawn",
    "from_plain",
    "open_request",
    "to_plain",
]
