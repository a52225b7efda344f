"""Which format a source is: by its first bytes, then by its name."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinomed.errors import DinomedError, ReadError, WriteError
from napari_dinomed.io.atomic import recover
from napari_dinomed.io.dicom import Dicom
from napari_dinomed.io.format import FIRST, Origin
from napari_dinomed.io.guard import require_apart
from napari_dinomed.io.hdf5 import Hdf5
from napari_dinomed.io.label_values import numbers_in, unnamed, whole_labels
from napari_dinomed.io.metaimage import MetaImage
from napari_dinomed.io.mgh import Mgh
from napari_dinomed.io.mrc import Mrc
from napari_dinomed.io.nifti import Nifti
from napari_dinomed.io.npy import Npy
from napari_dinomed.io.nrrd import Nrrd
from napari_dinomed.io.ome_zarr import OmeZarr
from napari_dinomed.io.pictures import Pictures
from napari_dinomed.io.pieces import first_line, one_error
from napari_dinomed.io.region import region_of
from napari_dinomed.io.slides import Slides
from napari_dinomed.io.source import Source, is_there
from napari_dinomed.io.tiff import Tiff
from napari_dinomed.io.zipped import unpacked
from napari_dinomed.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dinomed.io.format import Contents, Format, Legend, Pick

    Given = Path | str | Sequence[Path | str] | Source

_DICOM, _OME_ZARR, _PICTURES, _SLIDES = Dicom(), OmeZarr(), Pictures(), Slides()
FORMATS: tuple[Format, ...] = (
    _DICOM,
    Nifti(),
    Nrrd(),
    MetaImage(),
    Mgh(),
    Mrc(),
    Tiff(),
    _OME_ZARR,
    Hdf5(),
    Npy(),
    _SLIDES,
    _PICTURES,
)
_HEAD = 512
_ZIP = b"PK\x03\x04"


def volume_suffixes() -> tuple[str, ...]:
    """Every suffix that can be read, longest first."""
    return _longest_first(suffix for f in FORMATS for suffix in f.suffixes)


def label_suffixes() -> tuple[str, ...]:
    """Every suffix that can be written, longest first."""
    return _longest_first(suffix for f in FORMATS for suffix in f.writes)


def label_formats(source: Volume | None = None) -> dict[str, tuple[str, ...]]:
    """Formats that labels, maybe of a given volume, can be written in; their endings."""
    return {f.name: f.writes for f in FORMATS if f.writes and f.takes_labels_of(source)}


def can_read(given: Given) -> bool:
    """Whether a format recognises it; never raises, reads the first bytes only."""
    try:
        source = Source.of(given)
        return _is_zip(source) or _recognise(source) is not None
    except (OSError, DinomedError, ValueError, TypeError):
        return False


def is_lone_picture(given: Given) -> bool:
    """Whether it is one PNG, JPEG or BMP file: nothing to segment in 3-D."""
    source = Source.of(given)
    return (
        len(source.paths) == 1
        and source.path.is_file()
        and (_recognise(source) is _PICTURES)
    )


def format_name(given: Given) -> str:
    """What users call the format of a source; errors as `read_volume`."""
    with _opened(Source.of(given)) as (_, format_):
        return format_.name


def list_contents(given: Given) -> Contents:
    """The series, datasets, levels, time points and channels of a source.

    Raises
    ------
    ReadError
        As `read_volume`.
    """
    source = Source.of(given)
    with _opened(source) as (inside, format_), one_error(source.name, format_.name):
        return format_.contents(inside)


def read_volume(given: Given, pick: Pick = FIRST) -> Volume:
    """Read a file, a folder, the slices of a stack, or an address as a volume.

    Parameters
    ----------
    given
        Path or paths, or the address of a store.
    pick
        Which volume, where there are several.

    Raises
    ------
    ReadError
        Where it is missing, of no known format, or damaged.
    VolumeError
        Where it holds something other than one volume, grey or in colour, or several and
        none of them was picked.
    """
    source = Source.of(given)
    for folder in {path.parent for path in source.paths} | set(source.paths):
        if folder.is_dir():
            recover(folder)
    with _opened(source) as (inside, format_), one_error(source.name, format_.name):
        format_.require_parts(pick, source.name)
        volume = format_.read(inside, pick)
        if pick.region is not None:
            volume = region_of(volume, pick.region)
    return replace(volume, origin=_origin(volume, source, inside, pick))


def read_labels(given: Given, pick: Pick = FIRST) -> tuple[NDArray[np.int64], Volume]:
    """Read a file of whole-numbered labels.

    Returns
    -------
    tuple
        Labels (z, y, x) on the canonical grid, and the volume they were read from.

    Raises
    ------
    ReadError
        As `read_volume`, and where values are not whole numbers from 0; a picture in
        colour has no numbers of labels.
    """
    volume = read_volume(given, pick)
    if volume.colours is not None:
        raise ReadError(
            f"Expected whole-numbered labels from 0 in {Source.of(given)}, got a picture "
            "in colour. Save labels as numbers, or pick one of its channels."
        )
    values = np.asarray(volume.array)
    if values.dtype.kind == "f" and np.isfinite(values).all():
        nearest = np.rint(values)
        values = nearest if np.allclose(nearest, values) else values
    try:
        return whole_labels(values).astype(np.int64), volume
    except ValueError as error:
        raise ReadError(
            f"Expected whole-numbered labels from 0 in {Source.of(given)}, got {error}."
        ) from error


def require_writable(path: Path) -> Format:
    """The format for a result's name.

    Raises
    ------
    WriteError
        Where no format has that suffix, the folder is not there, or no file can be called
        so.
    """
    is_folder = is_there(path, WriteError) and path.is_dir()
    if _OME_ZARR.is_label_place(path) or (is_folder and _OME_ZARR.sniff_folder(path)):
        return _OME_ZARR
    if not path.parent.is_dir():
        raise WriteError(f"Cannot write {path}: the folder {path.parent} is not there.")
    for format_ in FORMATS:
        if path.name.lower().endswith(format_.writes):
            return format_
    raise WriteError(
        f"Expected a name that ends in {', '.join(label_suffixes())}; got {path.name}."
    )


def require_place(path: Path, source: Volume, others: Sequence[Volume | Path] = ()) -> Path:
    """The place where a result of that name goes; nothing that was read may be there.

    Parameters
    ----------
    path
        The result's name.
    source
        The volume that it is made from.
    others
        What else must stay: further volumes, other files.

    Raises
    ------
    WriteError
        As `require_writable`; where the place is what was read, holds it, or lies inside
        of it; and where something is there that may not be replaced.
    """
    format_ = require_writable(path)
    read = [_paths(each) for each in (source, *others)]
    place = format_.place(path, source)
    if format_.is_room(place, source):
        own = set(read[0])
        read = [[each for each in paths if each not in own] for paths in read]
    require_apart(place, [each for paths in read for each in paths])
    return place


def require_places(
    paths: Sequence[Path], source: Volume, others: Sequence[Volume | Path] = ()
) -> None:
    """As `require_place` for several results, none of which may overwrite another."""
    places: list[Path] = []
    for path in paths:
        place = require_place(path, source, others)
        try:
            require_apart(place, places)
        except WriteError as error:
            raise WriteError(
                f"{path} would overwrite another result: give two names that do not "
                "lie inside each other."
            ) from error
        places.append(place)


def write_labels(
    path: Path, labels: NDArray[Any], source: Volume, legend: Legend = ()
) -> None:
    """Write labels (z, y, x) on exactly the grid of the file that ``source`` came from.

    Parameters
    ----------
    path
        Where to; its ending chooses the format.
    labels
        Whole numbers from 0, of any type; stored in the narrowest that holds them.
    source
        The volume that they are labels of.
    legend
        Names and colours, for the formats that keep them.

    Raises
    ------
    WriteError
        Where the name or folder will not do, or the format cannot hold the numbers; where
        the place is what ``source`` was read from. An existing file stays as it was.
    """
    try:
        whole = whole_labels(np.asarray(labels))
    except ValueError as error:
        raise WriteError(
            f"Expected whole numbers from 0 as labels for {path}, got {error}. Nothing was "
            "written; give every label a number of its own above 0."
        ) from error
    format_, highest = require_writable(path), int(whole.max(initial=0))
    if highest > format_.highest:
        raise WriteError(
            f"{format_.name} holds labels up to {format_.highest:,}, but {path.name} would "
            f"have {highest:,}. Number them anew, or save as .nii.gz, .nrrd or .zarr."
        )
    known = {label.id for label in legend}
    others = (unnamed(n) for n in numbers_in(whole).tolist() if n not in known)
    _write(path, whole, source, (*legend, *others))


def write_image(path: Path, array: NDArray[Any], source: Volume) -> None:
    """Write grey values (z, y, x), their type kept, on the grid of ``source``'s file.

    Raises
    ------
    WriteError
        As `write_labels`, and where the format is for labels only.
    """
    _write(path, array, source, None)


def _write(path: Path, array: NDArray[Any], source: Volume, legend: Legend | None) -> None:
    format_ = require_writable(path)
    if array.shape != source.geometry.shape:
        raise WriteError(
            f"Expected {source.geometry.shape} voxels (z, y, x) for {path}, the grid of "
            f"the image, got {array.shape}."
        )
    require_place(path, source)
    try:
        format_.write(path, array, source, legend)
    except DinomedError:
        raise
    except Exception as error:
        raise WriteError(
            f"Cannot write {path} as {format_.name}: {first_line(error)}. What was "
            "there before is as it was; choose another format."
        ) from error


@contextmanager
def _opened(source: Source) -> Iterator[tuple[Source, Format]]:
    """The source, unpacked if it is a zip, and its format."""
    with ExitStack() as stack:
        try:
            if _is_zip(source):
                source = Source((stack.enter_context(unpacked(source.path)),))
            found = _recognise(source)
        except OSError as error:
            raise ReadError(f"Cannot read {source}: {error.strerror or error}.") from error
        if found is None:
            if source.path.is_dir():
                raise ReadError(
                    f"Expected DICOM slices, pictures of equal size or an OME-Zarr in the "
                    f"folder {source}, found none of them."
                )
            known = ", ".join(format_.name for format_ in FORMATS)
            raise ReadError(f"Expected one of {known}; {source} is none of these.")
        yield source, found


def _origin(volume: Volume, source: Source, inside: Source, pick: Pick) -> Origin:
    """Where a volume came from; what was unpacked from a zip is gone again."""
    own = volume.origin if isinstance(volume.origin, Origin) else Origin(source, pick)
    files = own.files if inside is source else ()
    return Origin(source.absolute(), own.pick, tuple(file.absolute() for file in files))


def _paths(given: Volume | Path) -> list[Path]:
    """The files and folders that something was read from."""
    if isinstance(given, Path):
        return [given]
    return list(given.origin.paths) if isinstance(given.origin, Origin) else []


def _recognise(source: Source) -> Format | None:
    if source.url:
        return _OME_ZARR
    if len(source.paths) > 1:
        is_dicom = _DICOM.sniff(_head(source.path))
        return _DICOM if is_dicom else _PICTURES
    path = source.path
    if path.is_dir():
        stacks = (_OME_ZARR, _DICOM, _PICTURES)
        return next((f for f in stacks if f.sniff_folder(path)), None)
    # The index of a MIRAX slide is a JPEG picture.
    if path.name.lower().endswith(_SLIDES.suffixes):
        return _SLIDES
    head = _head(path)
    for format_ in FORMATS:
        if format_.sniff(head):
            return format_
    for format_ in FORMATS:
        if path.name.lower().endswith(format_.suffixes):
            return format_
    return None


def _is_zip(source: Source) -> bool:
    if source.url or len(source.paths) != 1 or source.path.suffix.lower() == ".npz":
        return False
    return (
        source.path.is_file()
        and _head(source.path).startswith(_ZIP)
        and zipfile.is_zipfile(source.path)
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        with gzip.open(path) as unzipped:
            return unzipped.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""


def _longest_first(suffixes: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted(dict.fromkeys(suffixes), key=len, reverse=True))
