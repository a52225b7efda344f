"""Where teaching is, kept on disk: a run that was killed goes on from there.

One file in the cache for each run, named after all that the run depends on.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from safetensors.torch import save

from napari_dinomed.errors import ModelError, WriteError
from napari_dinomed.io.atomic import replacing
from napari_dinomed.io.tensors import Kind
from napari_dinomed.settings import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from napari_dinomed.adapt.teach import Pupil

# Digits of a loss that are kept: more are noise.
_DIGITS = 3
# Seconds after which nobody will go on with a run: a week.
_KEPT = 7 * 86_400


@dataclass(frozen=True)
class Place:
    """How far a run has come.

    Parameters
    ----------
    taught
        Pupils whose lessons are over: one for each fold, then the one that is kept.
    done
        Lessons that the next one has had.
    dice
        For each pupil that was tried, Dice of each label by each readout.
    losses
        Of each pupil, after each of its lessons.
    """

    taught: int = 0
    done: int = 0
    dice: tuple[tuple[float | None, ...], ...] = ()
    losses: tuple[tuple[float, ...], ...] = ()

    def after(self, done: int, loss: float) -> Place:
        """The same one lesson later: so many of the pupil's are done."""
        *others, own = (*self.losses, ())[: self.taught + 1]
        losses = (*others, (*own[: done - 1], round(loss, _DIGITS)))
        return replace(self, done=done, losses=losses)


class Autosave:
    """The file of one run.

    Parameters
    ----------
    key
        A hash of all that the run depends on.
    notice
        Told once that nothing can be kept, where that is so.
    """

    def __init__(self, key: str, notice: Callable[[str], None]) -> None:
        folder = cache_folder() / "adapting"
        self._path = folder / f"{key}.safetensors"
        self._notice: Callable[[str], None] | None = notice
        _forget_old(folder)

    def read(self) -> tuple[Place, dict[str, torch.Tensor]]:
        """Where the run was; at its beginning where nothing is known, or it is damaged."""
        try:
            return _KIND.read_all(self._path, "pt")
        except ModelError:
            return Place(), {}

    def write(self, place: Place, pupil: Pupil | None) -> None:
        """Keep where it is; the pupil whose lessons are not over comes along."""
        tensors = {} if pupil is None else state_of(pupil)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as temporary:
                temporary.write_bytes(save(tensors, _KIND.metadata(place)))
        except (OSError, WriteError) as error:
            if self._notice is not None:
                self._notice(f"Stopped, this would have to begin anew: {error}")
                self._notice = None

    def remove(self) -> None:
        """The run is over."""
        with suppress(OSError):
            self._path.unlink()


def state_of(pupil: Pupil) -> dict[str, torch.Tensor]:
    """Everything that changes from lesson to lesson."""
    moments = {
        f"solver.{number}.{name}": value
        for number, state in pupil.solver.state_dict()["state"].items()
        for name, value in state.items()
    }
    head = {f"head.{name}": one for name, one in pupil.head.state_dict().items()}
    everything = {**pupil.tensors(), **head, **moments}
    return {name: one.detach().cpu().contiguous() for name, one in everything.items()}


def restore(pupil: Pupil, done: int, tensors: dict[str, torch.Tensor]) -> None:
    """Bring a pupil to where it was."""
    import torch

    with torch.no_grad():
        for name, adapter in pupil.adapters.items():
            adapter.down.copy_(tensors[f"{name}.down"])
            adapter.up.copy_(tensors[f"{name}.up"])
    pupil.head.load_state_dict(
        {name: tensors[f"head.{name}"] for name in pupil.head.state_dict()}
    )
    moments: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("solver."):
            _, number, moment = name.split(".")
            moments.setdefault(int(number), {})[moment] = value
    groups = pupil.solver.state_dict()["param_groups"]
    pupil.solver.load_state_dict({"state": moments, "param_groups": groups})
    pupil.done = done


_KIND = Kind("dinoadapting", TypeAdapter(Place), "autosave", "adapt")


def _forget_old(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        if time.time() - path.stat().st_mtime > _KEPT:
            path.unlink(missing_ok=True)
