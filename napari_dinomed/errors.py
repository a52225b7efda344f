"""The one error family a user sees; messages say what was expected and what came."""


class DinomedError(Exception):
    """Something the user can understand and act on."""


class ReadError(DinomedError):
    """A file cannot be read as a volume."""


class UnevenError(ReadError):
    """Slices do not lie evenly; resampling would bring them to an even grid."""


class WriteError(DinomedError):
    """A result cannot be written; the old file, if any, is as it was."""


class VolumeError(DinomedError):
    """A volume has no content to segment, or the wrong number of axes."""


class PromptError(DinomedError):
    """A prompt lies outside the volume or names a label that does not exist."""


class WeightsError(DinomedError):
    """Encoder weights are missing, refused, or do not fit their architecture."""


class EngineError(DinomedError):
    """The engine process refused a request or died."""


class ForgottenError(EngineError):
    """The engine does not have a volume, or its features."""


class DocumentError(DinomedError):
    """A document does not allow a change, is damaged, or belongs to another volume."""


class FinishError(DinomedError):
    """A finishing tool finds nothing to do, would leave nothing, or lacks an option."""


class ModelError(DinomedError):
    """A taught model is missing, damaged, or of another encoder than a volume's."""


class ClusterError(DinomedError):
    """The processes that were to label volumes cannot be had, or are gone."""


class Cancelled(DinomedError):  # noqa: N818 - a request that was withdrawn, not a fault
    """The request was withdrawn before it finished."""


BROKEN = (EngineError, ReadError, WeightsError, WriteError)
"""What the user cannot help by doing something else; all others refuse an act."""
