"""Who clicks next, and where: simulated users of one case.

In: the truth, the mask as it is, and what was clicked so far. Out: the next click. All know
what belongs; the deepest clicker also knows where the mask is most wrong, one clicks
anywhere in the error, one goes where the program asks, and one begins with a stroke.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_dinomed.annotation.labels import new_label
from napari_dinomed.annotation.prompts import Point, Prompt, Prompts
from napari_dinomed.bench.clicks import first_stroke, next_click, random_click

if TYPE_CHECKING:
    from napari_dinomed.annotation.labels import Meaning
    from napari_dinomed.bench.case import Case
    from napari_dinomed.headless import Job

Random = np.random.Generator | None
NextClick = Callable[["Case", NDArray[np.bool_], Prompts, Random], Prompt | None]


# The first click goes to the middle of what is meant; the others into the middle of the
# largest error, anywhere in the error, or where the program asks, right or wrong there. Or
# a stroke through what is meant comes first, and then clicks into the largest error.
User = Literal["deepest", "random", "suggested", "stroke"]


def deepest(
    case: Case, mask: NDArray[np.bool_], prompts: Prompts, random: Random
) -> Point | None:
    """The middle of the largest error."""
    del prompts
    return next_click(case.truth, mask, case.volume.geometry.spacing, random=random)


def _anywhere(
    case: Case, mask: NDArray[np.bool_], prompts: Prompts, random: Random
) -> Point | None:
    if not prompts:
        return deepest(case, mask, prompts, random)
    return random_click(case.truth, mask, random or np.random.default_rng(len(prompts.all)))


def _stroke_first(
    case: Case, mask: NDArray[np.bool_], prompts: Prompts, random: Random
) -> Prompt | None:
    if not prompts:
        return first_stroke(case.truth, case.volume.geometry.spacing)
    return deepest(case, mask, prompts, random)


def user_of(user: User, job: Job, meaning: Meaning, head: str) -> NextClick:
    """How a user clicks; one who is asked is asked by the product of a job."""
    labels = (new_label(1, meaning),)

    def asked(
        case: Case, mask: NDArray[np.bool_], prompts: Prompts, random: Random
    ) -> Point | None:
        voxel = job.suggest(labels, prompts, head) if prompts else None
        if voxel is None:
            return deepest(case, mask, prompts, random)
        return Point(voxel, 1, include=bool(case.truth[voxel]))

    users: dict[User, NextClick] = {
        "deepest": deepest,
        "random": _anywhere,
        "suggested": asked,
        "stroke": _stroke_first,
    }
    return users[user]
