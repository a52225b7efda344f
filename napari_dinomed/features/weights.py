"""Where weights come from: the hub once, or a file the user brings; then this machine.

No release of the weights' hashes could be shipped with this package, so they are pinned
on first use: the hub's own SHA-256 is checked at download, recorded with the revision,
and checked again whenever the weights are loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinomed.errors import WeightsError
from napari_dinomed.features.catalog import CATALOG, LICENCE_NOTICES, find_spec
from napari_dinomed.features.encoder import EncoderSpec
from napari_dinomed.settings import data_folder, load_settings, save_settings
from napari_dinomed.small_file import read_small_json, require_file

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[int, int], None]

_FILE = "model.safetensors"
_CHUNK = 1 << 20
_BY_HAND = "added by hand"


@dataclass(frozen=True)
class Pin:
    """What is known of weights on this machine.

    Parameters
    ----------
    file
        Name of the file in the encoder's folder.
    sha256
        Hash of the file.
    revision
        The hub's commit, or ``"added by hand"``.
    """

    file: str
    sha256: str
    revision: str


def locate_weights(name: str) -> tuple[Path, EncoderSpec]:
    """The file of weights for an encoder's name.

    Raises
    ------
    WeightsError
        Where the weights are not on this machine, or are not what they were.
    """
    if name.startswith("file:"):
        path = Path(name.removeprefix("file:")).expanduser()
        return path, EncoderSpec(name, f"file {path.name}", licence="the file's own")
    spec = find_spec(name)
    pin = read_pin(name)
    if pin is None:
        raise WeightsError(
            f"The weights of {name} are not on this machine. Fetch them with "
            f"'napari-dinomed weights get {name}', or bring {hub_address(spec)} from a "
            f"machine with internet and run 'napari-dinomed weights add FILE --as {name}'."
        )
    path = _folder(name) / pin.file
    if not path.is_file() or file_hash(path) != pin.sha256:
        raise WeightsError(
            f"The weights of {name} at {path} are not the ones recorded (SHA-256 "
            f"{pin.sha256}). Fetch them again with 'napari-dinomed weights get {name}'."
        )
    # A file brought by hand may be in Meta's own layout: read what it is from its keys.
    return path, replace(spec, architecture="") if pin.revision == _BY_HAND else spec


def read_pin(name: str) -> Pin | None:
    """What is recorded of an encoder's weights, or None where there are none.

    Raises
    ------
    WeightsError
        Where the record is damaged.
    """
    path = _folder(name) / "pin.json"
    try:
        values = read_small_json(path)
        pin = Pin(values["file"], values["sha256"], values["revision"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged_pin(path, name) from error
    is_text = all(isinstance(value, str) for value in asdict(pin).values())
    if not is_text or pin.file != Path(pin.file).name:
        raise _damaged_pin(path, name)
    return pin


def is_present(name: str) -> bool:
    """Whether an encoder can be used without fetching anything."""
    if name.startswith("file:"):
        return Path(name.removeprefix("file:")).expanduser().is_file()
    return name == "filters" or _known_pin(name) is not None


def missing_licence(name: str) -> str | None:
    """The licence that has to be accepted before these weights are fetched, or None."""
    licence = CATALOG[name].licence if name in CATALOG else ""
    if licence not in LICENCE_NOTICES:
        return None
    return None if licence in load_settings().accepted_licences else licence


def fetch_weights(name: str, progress: Progress) -> Pin:
    """Download an encoder's weights, or go on with a download that was interrupted.

    Parameters
    ----------
    name
        A catalogue name.
    progress
        Called with bytes done and bytes in all.

    Raises
    ------
    WeightsError
        Where the licence was not accepted, the network is off or away, or what came
        has another hash than the hub announced.
    """
    spec = find_spec(name)
    if not spec.repository:
        raise WeightsError(f"{name} is built in and has no weights to fetch.")
    licence = missing_licence(name)
    if licence is not None:
        raise WeightsError(
            f"The weights of {name} are under the {licence}, which has not been "
            f"accepted on this machine:\n{LICENCE_NOTICES[licence]}\nAccept it with "
            f"'napari-dinomed weights get {name} --accept-licence'."
        )
    if is_offline():
        raise WeightsError(f"Working offline. {by_hand(spec)}")
    try:
        pin = _download(spec, progress)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(
            f"The weights of {name} cannot be fetched: {error}. {by_hand(spec)}"
        ) from error
    _record(name, pin)
    return pin


def add_weights(path: Path, name: str) -> Pin:
    """Take in a file of weights brought from elsewhere, after trying that it loads.

    Raises
    ------
    WeightsError
        Where the file does not fit the encoder, or there is no room for it.
    """
    from napari_dinomed.features.checkpoint import load_checkpoint

    spec = find_spec(name)
    if not spec.repository:
        raise WeightsError(f"{name} is built in and takes no weights.")
    found = load_checkpoint(path).architecture.partition(".")[0].removesuffix("_qkvb")
    if found != spec.architecture.removesuffix("_qkvb"):
        raise WeightsError(
            f"Expected weights of {spec.architecture} for {name}; {path.name} holds "
            f"{found}."
        )
    target = _folder(name) / f"added{path.suffix}"
    temporary = target.with_suffix(".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, temporary)
        temporary.replace(target)
        pin = Pin(target.name, file_hash(target), _BY_HAND)
        _record(name, pin)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise WeightsError(
            f"The weights of {name} cannot be kept in {target.parent}: "
            f"{error.strerror or error}. Free some space, or set NAPARI_DINOMED_HOME to a "
            "folder with room."
        ) from error
    return pin


def offer_weights(path: Path) -> str:
    """Let engines of this machine use a file of weights, whoever asks; its name as one.

    Raises
    ------
    WeightsError
        Where the file is missing or fits no known architecture.
    """
    from napari_dinomed.features.checkpoint import load_checkpoint

    load_checkpoint(path)
    settings, name = load_settings(), f"file:{path.absolute()}"
    kept = (one for one in settings.weight_files if one != name)
    save_settings(replace(settings, weight_files=(name, *kept)))
    return name


def hub_address(spec: EncoderSpec) -> str:
    """The exact file to fetch by hand."""
    from huggingface_hub import hf_hub_url

    return str(hf_hub_url(spec.repository, _FILE))


def file_hash(path: Path) -> str:
    """SHA-256 of a file.

    Raises
    ------
    WeightsError
        Where there is no such file.
    """
    require_weights_file(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def require_weights_file(path: Path) -> None:
    """Raise `WeightsError` where there is no file of weights, or something else."""
    try:
        require_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file of weights at {path}.") from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"Expected weights as .safetensors or a tensors-only .pth, but {path.name} "
            f"cannot be read: {error}"
        ) from error


def _download(spec: EncoderSpec, progress: Progress) -> Pin:
    # The hub's library would otherwise tell the hub about this machine.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    pinned = _known_pin(spec.name)
    revision = pinned.revision if pinned and pinned.file == _FILE else "main"
    metadata = get_hf_file_metadata(hf_hub_url(spec.repository, _FILE, revision=revision))
    path = Path(
        hf_hub_download(
            spec.repository,
            _FILE,
            revision=metadata.commit_hash or revision,
            local_dir=_folder(spec.name),
            tqdm_class=_bar_class(progress),
        )
    )
    found = file_hash(path)
    if metadata.etag and len(metadata.etag) == 64 and metadata.etag != found:
        path.unlink()
        raise WeightsError(
            f"The weights of {spec.name} arrived damaged: SHA-256 {found}, not the "
            f"hub's {metadata.etag}. They were deleted; fetch them again."
        )
    return Pin(_FILE, found, metadata.commit_hash or revision)


def _bar_class(progress: Progress) -> Any:
    from tqdm.auto import tqdm

    def update(bar: Any, n: float | None = 1) -> Any:
        shown = tqdm.update(bar, n)
        progress(int(bar.n), int(bar.total or 0))
        return shown

    def begin(bar: Any, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("name", None)
        tqdm.__init__(bar, *args, **{**kwargs, "disable": False, "file": _Nowhere()})

    return type("Bar", (tqdm,), {"__init__": begin, "update": update})


class _Nowhere:
    """Where a progress bar draws that is only listened to."""

    def write(self, _: str) -> None:
        """Drop what is drawn."""

    def flush(self) -> None:
        """Nothing is held back."""


def by_hand(spec: EncoderSpec) -> str:
    """How weights come to a machine that is offline."""
    return (
        f"Bring {hub_address(spec)} from a machine with internet and run "
        f"'napari-dinomed weights add FILE --as {spec.name}'."
    )


def is_offline() -> bool:
    """Whether nothing is to be fetched: by the settings, or as this process was begun."""
    if load_settings().offline:
        return True
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _folder(name: str) -> Path:
    return data_folder() / "weights" / name


def _known_pin(name: str) -> Pin | None:
    """What is recorded; None where that is damaged, too: fetching again mends it."""
    try:
        return read_pin(name)
    except WeightsError:
        return None


def _damaged_pin(path: Path, name: str) -> WeightsError:
    return WeightsError(
        f"What is recorded of the weights of {name} in {path} is damaged. Fetch them again "
        f"with 'napari-dinomed weights get {name}'."
    )


def _record(name: str, pin: Pin) -> None:
    place = _folder(name) / "pin.json"
    temporary = place.with_suffix(".partial")
    temporary.write_text(json.dumps(asdict(pin), indent=1), encoding="utf-8")
    temporary.replace(place)
