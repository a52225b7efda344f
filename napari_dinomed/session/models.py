"""Taught models in a session: what they find in its volume, learn from it, or say of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_dinomed.annotation.legends import with_names
from napari_dinomed.annotation.proposals import unsaid, unseen, with_proposals
from napari_dinomed.engine.messages import ProposeLabels, TeachModel, TellVolume
from napari_dinomed.errors import DocumentError, ModelError
from napari_dinomed.taught.header import read_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinomed.engine.messages import Proposed, Taught, VolumeTold
    from napari_dinomed.session.session import Session


class Models:
    """Has one model at a time propose labels, or learn them.

    Parameters
    ----------
    session
        Whose labels.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._learning = ""

    @property
    def parting(self) -> str:
        """What a user should know who closes the volume now; empty where nothing is."""
        if not (self._learning and self._session.computing.is_on_errand):
            return ""
        return (
            f"{self._learning} had not learnt this volume yet when it was closed: the "
            "model is as it was. Open the volume again and press Remember."
        )

    def propose(self, path: Path) -> None:
        """Have a taught model find what it knows; the labels come when they are found."""
        self._session.require_own_window()
        self._learning = ""
        self._session.computing.run(
            lambda volume, number: ProposeLabels(volume, str(path), number),
            partial(self._take_proposal, path),
        )

    def tell(self, path: Path, told: Callable[[VolumeTold], object]) -> None:
        """Have a model of whole volumes say what this one is; ``told`` hears it."""
        self._learning = ""
        self._session.computing.run(
            lambda volume, number: TellVolume(volume, str(path), number), told
        )

    def remember(
        self,
        path: Path,
        labels: tuple[int, ...],
        taught: Callable[[], None] = lambda: None,
    ) -> None:
        """Teach a model labels as they are now; a new model where there is none.

        Parameters
        ----------
        path, labels
            The model, and what it is to learn.
        taught
            Called when it has learnt.

        Raises
        ------
        DocumentError
            Where none of them has a voxel.
        """
        document = self._session.document
        proposed = unseen(document)
        known = [n for n in labels if document.mask(n) and n not in proposed]
        masks = {n: document.mask(n) for n in known}
        if not masks:
            raise DocumentError(
                "Expected a label to remember that you have clicked on, painted or locked, "
                "got none."
            )
        named = tuple(label for label in document.labels if label.id in masks)
        efforts = {n: document.effort(n) for n in masks}
        self._session.computing.run(
            lambda volume, number: TeachModel(
                volume, str(path), named, masks, number, efforts
            ),
            partial(self._take_lesson, path.stem, taught),
        )
        self._learning = path.stem

    def _take_proposal(self, path: Path, proposed: Proposed) -> None:
        session, name, worth = self._session, path.stem, _worth_of(path)
        for warning in proposed.warnings:
            session.noticed.emit(warning)
        found = proposed.masks()
        legend = tuple(label for label in proposed.legend if label.id in found)
        document, numbers = with_names(session.document, legend)
        masks = {numbers[label.id]: found[label.id] for label in legend}
        free = set(unsaid(document))
        document = with_proposals(document, masks)
        session.change(document, f"propose from {name}", "propose from a model")
        taken = [
            f"{label.name}{worth.get(label.name, '')}"
            for label in legend
            if numbers[label.id] in free
        ]
        told = f"{', '.join(taken)}: click to correct it" if taken else "nothing"
        kept = [label.name for label in legend if numbers[label.id] not in free]
        stay = "stays" if len(kept) == 1 else "stay"
        also = f" {', '.join(kept)} {stay} as you made it." if kept else ""
        session.noticed.emit(f"{name} proposes {told}.{also}")

    def _take_lesson(self, name: str, told: Callable[[], None], taught: Taught) -> None:
        header = taught.header
        told()
        figures = ", ".join(
            f"{lesson.label.name} {lesson.mean_dice:.2f}" for lesson in header.lessons
        )
        self._session.noticed.emit(
            f"{name} has learnt from {header.volumes} "
            f"{'volume' if header.volumes == 1 else 'volumes'}. Dice on what it did not "
            f"learn from: {figures}."
        )


def _worth_of(path: Path) -> dict[str, str]:
    """For each label of a model, in words, how well it did on what did not teach it."""
    try:
        lessons = read_header(path).lessons
    except ModelError:
        # It went while it proposed.
        return {}
    told = (one for one in lessons if one.dice)
    return {one.label.name: f" (Dice {one.mean_dice:.2f} elsewhere)" for one in told}
