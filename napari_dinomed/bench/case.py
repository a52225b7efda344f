"""Volumes with expert labels to measure on, and suites of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from scipy import ndimage

from napari_dinomed.annotation.labels import Meaning
from napari_dinomed.batch.lessons import label_numbers
from napari_dinomed.errors import ReadError
from napari_dinomed.io import read_labels, read_volume
from napari_dinomed.volume import Geometry, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Table = TypeVar("Table")
Task = Literal["clicks", "labels", "transfer"]
# Instead of a label: where labels meet, as membranes do that part neurons.
BORDERS = "borders"


@dataclass(frozen=True, eq=False)
class Case:
    """A volume and the mask that an expert gave it, (z, y, x)."""

    volume: Volume
    truth: NDArray[np.bool_]

    @property
    def tolerance(self) -> float:
        """Distance at which surfaces still agree: 2 mm, or a voxel in other units."""
        geometry = self.volume.geometry
        return 2.0 if geometry.unit == "mm" else min(geometry.spacing)


@dataclass(frozen=True)
class CaseFiles:
    """Where a case lies, as a suite names it.

    Parameters
    ----------
    name
        Short name for tables.
    image, labels
        Files; relative to the suite's own folder.
    label
        Numbers joined by ``+``, or `BORDERS`.
    meaning
        One object, or all that looks alike.
    every
        Keep every so many slices along z.
    group
        Cases of a group are averaged together.
    task
        Clicks; a probe on labelled slices; or a probe applied to other volumes.
    targets
        For a transfer: image and labels of the other volumes.
    credit
        Where the volume is from and under which licence, for reports.
    pictured
        Whether that licence lets a report show slices of it.
    """

    name: str
    image: str
    labels: str
    label: str = "1"
    meaning: Meaning = Meaning.OBJECT
    every: int = 1
    group: str = ""
    task: Task = "clicks"
    targets: tuple[tuple[str, str], ...] = ()
    credit: str = ""
    pictured: bool = True

    __pydantic_config__ = ConfigDict(extra="forbid")


def load_case(image: Path, labels: Path, label: str, every: int = 1) -> Case:
    """Read a volume and the union of some of its labels.

    Parameters
    ----------
    image, labels
        Files on the same grid of voxels.
    label
        Numbers joined by ``+``, or `BORDERS`.
    every
        Keep every so many slices along z.

    Raises
    ------
    ReadError
        Where the files do not go together, or the labels are not there.
    """
    volume = read_volume(image)
    expert, label_volume = read_labels(labels)
    expert = _on_grid_of(volume, expert, label_volume, labels.name)
    truth = borders(expert) if label == BORDERS else np.isin(expert, label_numbers(label))
    if not truth.any():
        raise ReadError(f"{labels.name} has no voxel of label {label}.")
    return _thinned(Case(volume, truth), every)


def borders(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Voxels (z, y, x) within one of a place where two labels meet."""
    meet = np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        along, differ = (
            np.moveaxis(meet, axis, 0),
            np.diff(np.moveaxis(labels, axis, 0), axis=0),
        )
        along[:-1] |= differ != 0
        along[1:] |= differ != 0
    return np.asarray(ndimage.binary_dilation(meet))


def _on_grid_of(
    volume: Volume, expert: NDArray[np.int64], label_volume: Volume, name: str
) -> NDArray[np.int64]:
    """Labels on the volume's grid: by their place in the world, else voxel by voxel.

    Some label files carry an affine of their own, or none; then the order in the files
    counts.
    """
    own, grid = label_volume.geometry, volume.geometry
    if own.shape == grid.shape and np.allclose(own.matrix, grid.matrix, atol=1e-2):
        return expert
    on_file = own.to_file_order(expert)
    if on_file.shape != grid.file_shape:
        raise ReadError(
            f"Expected labels of {grid.file_shape} voxels like the image, "
            f"got {on_file.shape} in {name}."
        )
    return grid.from_file_order(on_file)


def load_tables(path: Path, name: str, kind: type[Table], needs: str = "") -> list[Table]:
    """Read the tables ``[[name]]`` of a TOML file, of which there is one at least.

    Parameters
    ----------
    path, name
        The file, and what its tables are called.
    kind
        What each of them is.
    needs
        Said after what one of them lacks.

    Raises
    ------
    ReadError
        Where it is missing, is not TOML, or a table lacks something.
    """
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file).get(name, [])
        found = TypeAdapter(list[kind]).validate_python(tables)  # type: ignore[valid-type]
    except OSError as error:
        raise ReadError(f"Cannot read the suite {path}: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ReadError(f"Expected TOML in {path.name}: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = f"{name.capitalize()} {place} of {path.name}: {first['msg'].lower()}."
        raise ReadError(said + needs) from error
    if not found:
        raise ReadError(f"{path.name} names no {name}; each is a table [[{name}]].")
    return found


def load_suite(path: Path) -> list[CaseFiles]:
    """Read the cases of a suite: a TOML file with a table ``[[case]]`` for each.

    Raises
    ------
    ReadError
        Where it is missing, is not TOML, or a case lacks something.
    """
    needs = " A case needs name, image and labels."
    cases = load_tables(path, "case", CaseFiles, needs)
    folder = path.resolve().parent
    return [
        replace(
            case,
            image=str(folder / case.image),
            labels=str(folder / case.labels),
            targets=tuple(
                (str(folder / image), str(folder / labels))
                for image, labels in case.targets
            ),
        )
        for case in cases
    ]


def clicked_cases(cases: list[CaseFiles]) -> list[CaseFiles]:
    """The cases that are clicked on; ReadError where there are none."""
    clicked = [files for files in cases if files.task == "clicks"]
    if not clicked:
        raise ReadError('Expected at least one case with task = "clicks" in the suite.')
    return clicked


def _thinned(case: Case, every: int) -> Case:
    if every == 1:
        return case
    geometry = case.volume.geometry
    array = np.ascontiguousarray(case.volume.array[::every])
    z, y, x = geometry.spacing
    shape = (array.shape[0], array.shape[1], array.shape[2])
    thinned = Geometry.from_spacing(shape, (z * every, y, x), geometry.unit)
    volume = replace(case.volume, array=array, geometry=thinned)
    return Case(volume, np.ascontiguousarray(case.truth[::every]))
