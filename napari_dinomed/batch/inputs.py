"""Which volumes a batch is about, and where the labels of each go."""

from __future__ import annotations

import csv
import glob
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinomed.errors import ReadError
from napari_dinomed.io import can_read, is_lone_picture, volume_suffixes
from napari_dinomed.io.atomic import is_workroom
from napari_dinomed.io.source import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is written beside labels.
MARK = "_labels"
# Endings of files that are slices of a volume, rather than volumes.
_SLICES = (".dcm", ".ima")


def find_inputs(given: list[str], out: Path) -> list[Path]:
    """Volumes, each once, in order.

    Parameters
    ----------
    given
        Files, folders of files or of series, patterns, and CSV files whose first column
        has a path in each row.
    out
        The folder of results, which is none of them.

    Raises
    ------
    ReadError
        Where something is not there, or nothing is a volume.
    """
    found: dict[Path, None] = {}
    for text in given:
        paths = [Path(text)]
        if not is_there(paths[0]):
            paths = sorted(map(Path, glob.glob(text, recursive=True)))
        if not paths:
            raise ReadError(f"Expected a file, a folder or a pattern, found no {text}.")
        for path in paths:
            found.update(dict.fromkeys(_volumes_in(path)))
    own = out.resolve()
    kept = [path for path in found if own not in path.resolve().parents]
    if not kept:
        raise ReadError(f"Found no volume in {', '.join(given)}.")
    return kept


def results_for(sources: list[Path], out: Path, suffix: str) -> list[tuple[Path, Path]]:
    """Each volume with the place of its labels; no two have the same.

    Raises
    ------
    ReadError
        Where two volumes would have the same, even named after their folders.
    """
    stems = [text_of(Path(stem_of(path))) for path in sources]
    often = Counter(stems)
    names = [
        stem if often[stem] == 1 else f"{path.resolve().parent.name}_{stem}"
        for path, stem in zip(sources, stems, strict=True)
    ]
    for name, count in Counter(names).items():
        if count > 1:
            twins = [str(p) for p, n in zip(sources, names, strict=True) if n == name]
            raise ReadError(
                f"Labels of {' and '.join(twins)} would have one name, {name}. Apply the "
                "model to their folders one after the other."
            )
    places = [out / f"{name}{MARK}{suffix}" for name in names]
    return list(zip(sources, places, strict=True))


def stem_of(path: Path) -> str:
    """A file's name without its ending: ``scan`` of ``scan.nii.gz``."""
    for suffix in volume_suffixes():
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def text_of(path: Path) -> str:
    """A path as text that can be written, also where its bytes are no text."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _volumes_in(path: Path) -> list[Path]:
    if path.suffix.lower() == ".csv":
        return _rows_of(path)
    if path.is_file():
        return [path]
    return list(_volumes_below(path, ()))


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
    is_store = folder.suffix.lower() == ".zarr"
    return (bool(files) or is_store) and can_read(folder)


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
    paths = [path.parent / row for row in rows]
    missing = [str(each) for each in paths if not each.exists()]
    if missing:
        raise ReadError(
            f"{path.name} names {len(missing)} files that are not there: "
            f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}"
        )
    return paths
