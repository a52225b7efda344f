"""What the user does to the list of labels: each is one step of the session.

In: labels by number. Out: changes of the session's document, which undo takes back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_dinomed.annotation.arranging import merged, moved

if TYPE_CHECKING:
    from napari_dinomed.plugin.workbench import Workbench
    from napari_dinomed.session.session import Session


class LabelList:
    """The labels of the document in work.

    Parameters
    ----------
    bench
        The workbench.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def add(self) -> None:
        """Add a label and aim at it."""
        hand = self._bench.hand

        def add(session: Session) -> None:
            meaning = session.document.find(hand.label).meaning
            document = session.document.with_new_label(meaning)
            session.change(document, "new label")
            # What a region says of its label stays chosen.
            hand.include = True
            hand.aim(document.next_id - 1)

        self._bench.act(add)

    def change(self, label: int, **values: Any) -> None:
        """Rename a label, or change its colour or meaning."""

        def change(session: Session) -> None:
            known = session.document.find(label)
            changed = replace(known, **values)
            what = ", ".join(values).replace("color", "colour")
            name = f"{what} of {known.name}"
            session.change(session.document.with_label(changed), name)

        self._bench.act(change)

    @property
    def hidden(self) -> frozenset[int]:
        """Labels that are not shown on the canvas now."""
        sheet = self._bench.sheet
        return frozenset() if sheet is None else sheet.result.hidden

    def toggle_seen(self, label: int) -> None:
        """Hide a label on the canvas, or show it again: a view, and no step."""
        sheet, session = self._bench.sheet, self._bench.session
        if sheet is not None and session is not None:
            sheet.result.hide(session.document, self.hidden ^ {label})
            self._bench.document_changed.emit(session.document)

    def remove(self, label: int) -> None:
        """Remove a label with its prompts and voxels; undo brings all of it back."""

        def remove(session: Session) -> None:
            name = f"remove {session.document.find(label).name}"
            session.change(session.document.without_label(label), name)

        self._bench.act(remove)

    def merge(self, label: int, into: int) -> None:
        """Give a label's voxels to another, and aim at that."""

        def merge(session: Session) -> None:
            document = session.document
            names = document.find(label).name, document.find(into).name
            session.change(
                merged(document, label, into), f"merge {names[0]} into {names[1]}"
            )
            self._bench.hand.aim(into)

        self._bench.act(merge)

    def move(self, label: int, places: int) -> None:
        """Move a label down the list, or up."""

        def move(session: Session) -> None:
            name = f"move {session.document.find(label).name}"
            session.change(moved(session.document, label, places), name)

        self._bench.act(move)

    def toggle_done(self, label: int) -> None:
        """Lock a label as it is, or open it again."""

        def toggle(session: Session) -> None:
            is_done = session.document.find(label).is_done
            (session.reopen if is_done else session.finish)(label)

        self._bench.act(toggle)
