"""Teaching a model from labelled files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_dinomed.annotation.labels import Meaning, new_label
from napari_dinomed.errors import ModelError, ReadError
from napari_dinomed.headless import prepare
from napari_dinomed.io import Pick, read_labels, read_volume
from napari_dinomed.io.format import FIRST
from napari_dinomed.taught.model import read_model
from napari_dinomed.taught.settle import settled
from napari_dinomed.taught.teach import begun, taught
from napari_dinomed.volume import Geometry, require_same_grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinomed.annotation.labels import Label
    from napari_dinomed.headless import OnEvent
    from napari_dinomed.taught.model import TaughtModel
    from napari_dinomed.volume import Planes, Volume


@dataclass(frozen=True)
class Labelled:
    """A volume and its labels, as files.

    Parameters
    ----------
    image, labels
        Where they are.
    chosen
        Labels to learn, as ``3``, or ``1+2`` for a union; all if empty.
    meaning
        Whether each label is one object, or all that looks alike.
    pick
        What of the image is labelled: a level and a region of a slide.
    """

    image: str
    labels: str
    chosen: tuple[str, ...] = ()
    meaning: Meaning = Meaning.OBJECT
    pick: Pick = FIRST

    def read(self) -> tuple[Volume, NDArray[np.int64], tuple[Label, ...]]:
        """The volume, its labels (z, y, x), and what they stand for.

        Raises
        ------
        ReadError
            Where one cannot be read, or a label is not asked for by its number.
        VolumeError
            Where they do not lie on one grid.
        ModelError
            Where a label is asked for twice.
        """
        volume = read_volume(self.image, self.pick)
        if self.pick.region is not None:
            volume = _by_itself(volume)
        labels, stored = read_labels(self.labels)
        require_same_grid(volume, stored)
        names = {entry.id: entry.name for entry in stored.legend or ()}
        return volume, *chosen_labels(labels, names, self.chosen, self.meaning)

    def known(self) -> dict[int, str]:
        """Labels that it has, by their numbers; errors as `read_labels`."""
        labels, stored = read_labels(self.labels)
        names = {entry.id: entry.name for entry in stored.legend or ()}
        return {int(n): _name_of(int(n), names) for n in np.unique(labels) if n}


def _name_of(number: int, names: Mapping[int, str]) -> str:
    return names.get(number, f"Label {number}")


def _by_itself(region: Volume) -> Volume:
    """A region that begins at the origin, as files of its labels do."""
    own = region.geometry
    begun_anew = Geometry.from_spacing(own.shape, own.spacing, own.unit)
    return replace(region, geometry=begun_anew)


class Lesson(Protocol):
    """A labelled volume, wherever its labels are."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """Labels to learn, as for `chosen_labels`."""

    def known(self) -> dict[int, str]:
        """Labels that it has, by their numbers."""

    def read(self) -> tuple[Volume, NDArray[np.int64], tuple[Label, ...]]:
        """The volume, its labels (z, y, x), and what they stand for."""


def chosen_labels(
    labels: NDArray[np.int64],
    names: Mapping[int, str],
    chosen: tuple[str, ...],
    meaning: Meaning,
) -> tuple[NDArray[np.int64], tuple[Label, ...]]:
    """Labels that are to be learnt, numbered from 1 on, and what they stand for.

    Parameters
    ----------
    labels, names
        Numbers (z, y, x), and names of some.
    chosen
        Labels to learn, as ``3``, or ``1+2`` for a union; all if empty.
    meaning
        Whether each label is one object, or all that looks alike.

    Raises
    ------
    ReadError
        Where a label is not asked for by its number.
    ModelError
        Where one is asked for twice.
    """
    groups = [label_numbers(text) for text in chosen]
    groups = groups or [(int(n),) for n in np.unique(labels) if n]
    if len({n for group in groups for n in group}) < sum(map(len, groups)):
        raise ModelError(f"Expected every label once, got {', '.join(chosen)}.")
    legend, mapped = [], np.zeros_like(labels)
    for number, group in enumerate(groups, start=1):
        label = new_label(number, meaning)
        name = " + ".join(_name_of(n, names) for n in group)
        legend.append(replace(label, name=name))
        mapped[np.isin(labels, group)] = number
    return mapped, tuple(legend)


def teach_model(
    volumes: Sequence[Lesson],
    begin_with: Path | None,
    encoder: str,
    window: str | None,
    planes: Planes,
    device: str,
    on_event: OnEvent,
    learner: str | None = None,
) -> TaughtModel:
    """Teach a model from files.

    Parameters
    ----------
    volumes
        What to learn from, at least one.
    begin_with
        A model to go on with, or None.
    encoder, window, planes, device, on_event
        As for `prepare`.
    learner
        As for `settled`.

    Raises
    ------
    ModelError
        Where a label is to be learnt that no volume has; others as `Labelled.read` and
        `taught`.
    """
    _require_labels(volumes)
    model = None if begin_with is None else read_model(begin_with)
    for one in volumes:
        volume, labels, legend = one.read()
        job = prepare(volume, encoder, window, device, on_event, planes)
        model = begun(job.seen) if model is None else model
        model = taught(model, job.seen, labels, legend)
    if model is None:
        raise ModelError("Expected at least one volume to learn from.")
    *_, complete = settled(model, learner)
    return complete


def _require_labels(volumes: Sequence[Lesson]) -> None:
    """Raise `ModelError` where a label is asked for that no volume has."""
    texts = {text for one in volumes for text in one.chosen}
    asked = {number for text in texts for number in label_numbers(text)}
    if not asked:
        return
    known = {number: name for one in volumes for number, name in one.known().items()}
    missing = ", ".join(map(str, sorted(asked - known.keys())))
    if missing:
        there = ", ".join(f"{number} ({known[number]})" for number in sorted(known))
        raise ModelError(
            f"Expected labels that some volume has, but none has {missing}. There are: "
            f"{there or 'none'}."
        )


def label_numbers(text: str) -> tuple[int, ...]:
    """Numbers of a label, or of a union of some: 3, or 1+2.

    Raises
    ------
    ReadError
        Where it is none.
    """
    try:
        return tuple(int(part) for part in text.split("+"))
    except ValueError as error:
        raise ReadError(f"Expected a label like 3 or 1+2, got {text!r}.") from error
