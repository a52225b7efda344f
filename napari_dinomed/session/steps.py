"""Names of steps, as undo shows them: «2nd click on spleen»."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinomed.annotation.prompts import Point
from napari_dinomed.annotation.region import Region, Role

if TYPE_CHECKING:
    from napari_dinomed.annotation.document import Document
    from napari_dinomed.annotation.prompts import Prompt

_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th … 11th … 21st."""
    teens = 10 < number % 100 < 14
    return f"{number}{'th' if teens else _ENDINGS.get(number % 10, 'th')}"


def name_of(prompt: Prompt, document: Document) -> str:
    """What it is to add a prompt to a document."""
    label = document.find(prompt.label).name
    if isinstance(prompt, Region) and prompt.role is Role.INSIDE:
        return f"where {label} is inside"
    kind = type(prompt)
    said = document.prompts.of(prompt.label)
    number = 1 + sum(isinstance(p, kind) and _side(p) == _side(prompt) for p in said)
    what = {Point: "click", Region: "region"}.get(kind, "stroke")
    side = "" if prompt.include else "excluding "
    return f"{ordinal(number)} {side}{what} on {label}"


def _side(prompt: Prompt) -> object:
    return prompt.role if isinstance(prompt, Region) else prompt.include
