"""Which volumes a batch is about, and where the labels of each go."""

from __future__ import annotations

import csv
import glob
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.errors import DinomedError, ReadError
from napari_dinomed.io import Source, can_read, is_lone_picture, volume_suffixes
from napari_dinomed.io.atomic import is_workroom
from napari_dinomed.io.dicom import Dicom
from napari_dinomed.io.ome_zarr import OmeZarr
from napari_dinomed.io.pieces import one_error
from napari_dinomed.io.source import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is written beside labels.
MARK = "_labels"
# Endings of files that are slices of a volume, rather than volumes.
_SLICES = (".dcm", ".dicom", ".ima")
# A file that lists series in folders below, and is none of them.
_INDEX = "DICOMDIR"
# Folders that a name tells of: a patient's, a study's, a series', and some above.
_DEEPEST = 8


def find_inputs(given: list[str], out: Path) -> list[Path]:
    """Paths of volumes; parameters and errors as `find_sources`.

    A series that is not alone in its folder is named by its first file.
    """
    return [source.path for source in find_sources(given, out)]


def find_sources(given: list[str], out: Path) -> list[Source]:
    """Volumes, each once, in order; each DICOM series is one.

    Parameters
    ----------
    given
        Files, folders of files or of series, patterns, and CSV files whose first column
        has a path in each row; what a row names need not be there.
    out
        The folder of results, which is none of them.

    Raises
    ------
    ReadError
        Where something else is not there, or nothing is a volume.
    """
    found: dict[Source, None] = {}
    for text in given:
        paths = [Path(text)]
        if not is_there(paths[0]):
            paths = sorted(map(Path, glob.glob(text, recursive=True)))
        if not paths:
            raise ReadError(f"Expected a file, a folder or a pattern, found no {text}.")
        for path in paths:
            found.update(dict.fromkeys(_volumes_in(path)))
    own = out.resolve()
    kept = [source for source in found if own not in source.path.resolve().parents]
    if not kept:
        raise ReadError(f"Found no volume in {', '.join(given)}.")
    return kept


def results_for(sources: list[Source], out: Path, suffix: str) -> list[tuple[Source, Path]]:
    """Each volume with the place of its labels; no two have the same.

    What would share a name is named after its folders, too, as many as it takes.

    Raises
    ------
    ReadError
        Where two volumes would have one name all the same.
    """
    depths = [1 if len(source.paths) == 1 else 2 for source in sources]
    names = list(map(_name_of, sources, depths))
    for _ in range(_DEEPEST):
        twins = _twins(names)
        depths = [depth + (n in twins) for n, depth in enumerate(depths)]
        names = list(map(_name_of, sources, depths))
    if twins := _twins(names):
        same = [str(sources[n].path) for n in twins if names[n] == names[min(twins)]]
        raise ReadError(
            f"Labels of {' and '.join(same)} would have one name, "
            f"{_name_of(sources[min(twins)], 2)}. Apply the model to one after the other, "
            "into folders of their own."
        )
    places = [out / f"{name}{MARK}{suffix}" for name in names]
    return list(zip(sources, places, strict=True))


def _twins(names: list[str]) -> set[int]:
    """Which share a name with another; on some disks, case makes no difference."""
    often = Counter(name.lower() for name in names)
    return {n for n, name in enumerate(names) if often[name.lower()] > 1}


def _name_of(source: Source, depth: int) -> str:
    """A volume's name, after so many of its folders less one."""
    above = Path(os.path.abspath(source.path)).parent.parts[1:]
    folders = above[max(0, len(above) - depth + 1) :]
    return "_".join((*folders, text_of(Path(stem_of(source.path)))))


def files_of(source: Source) -> list[Path]:
    """The files that a volume is made of, also what lies in its folder beside them."""
    path = source.path
    return sorted(path.rglob("*")) if path.is_dir() else list(source.paths)


def stem_of(path: Path) -> str:
    """A file's name without its ending: ``scan`` of ``scan.nii.gz``."""
    for suffix in volume_suffixes():
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def text_of(path: Path) -> str:
    """A path as text that can be written, also where its bytes are no text."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _volumes_in(path: Path) -> Iterator[Source]:
    if path.suffix.lower() == ".csv":
        for row in _rows_of(path):
            yield from _series_of(row) if row.is_dir() else [Source((row,))]
    elif path.is_file():
        yield Source((path,))
    else:
        for volume in _volumes_below(path, ()):
            yield from _series_of(volume) if volume.is_dir() else [Source((volume,))]


def _series_of(folder: Path) -> list[Source]:
    """The series of a folder that is one volume, or has several of them."""
    form, source = Dicom(), Source((folder,))
    try:
        with one_error(folder.name, form.name):
            series = form.series(source) if form.sniff_folder(folder) else ()
    except DinomedError:
        # What is wrong with it is said of it when it is read.
        series = ()
    return [Source(files) for files in series] if len(series) > 1 else [source]


def _volumes_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Volumes in a folder and in those inside; links that lead back up are not followed."""
    own = folder.resolve()
    if own in above:
        return
    if _is_one_volume(folder):
        yield folder
        return
    for inside in sorted(folder.iterdir()):
        is_ours = is_workroom(inside) or inside.name.startswith(".")
        if inside.is_dir() and not is_ours:
            yield from _volumes_below(inside, (*above, own))
        elif not is_ours and _is_a_volume(inside):
            yield inside


def _is_one_volume(folder: Path) -> bool:
    """Whether a folder's own files are the slices of a volume, or it is a store."""
    files = [each for each in folder.iterdir() if each.is_file()]
    if any(_is_a_volume(each) for each in files):
        return False
    is_store = folder.suffix.lower() == ".zarr" or OmeZarr().sniff_folder(folder)
    has_slices = any(can_read(each) for each in files if each.name.upper() != _INDEX)
    return (is_store or has_slices) and can_read(folder)


def _is_a_volume(file: Path) -> bool:
    """Whether a file is a volume by itself, by its name and its first bytes.

    What is called so and is no file, as a link to nothing, is a volume that is missing.
    """
    is_slice = file.suffix.lower() in _SLICES
    is_named = file.name.lower().endswith(volume_suffixes()) and not is_slice
    if not file.is_file():
        return is_named
    has_header = file.suffix == ".img" and file.with_suffix(".hdr").exists()
    return is_named and not is_lone_picture(file) and not has_header and can_read(file)


def _rows_of(path: Path) -> list[Path]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row[0].strip() for row in csv.reader(file) if row and row[0].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(
            f"Expected a CSV of paths in UTF-8, but {path.name} cannot be read: {error}"
        ) from error
    if rows and not rows[0].lower().endswith(volume_suffixes()):
        # A heading, unless it is a folder.
        rows = rows if (path.parent / rows[0]).exists() else rows[1:]
    return [path.parent / row for row in rows]
