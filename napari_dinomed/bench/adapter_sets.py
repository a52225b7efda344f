"""What adapting is measured on: sets of volumes, and a run for each side and seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict

from napari_dinomed.bench.case import load_tables

if TYPE_CHECKING:
    from collections.abc import Sequence


Reads = Literal["probe", "clicks", "proposals"]


@dataclass(frozen=True)
class Other:
    """A volume of another kind, on which it is seen what an adapter makes worse."""

    name: str
    image: str
    labels: str
    label: str

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class AdaptSet:
    """What teaches, and what is measured.

    Parameters
    ----------
    name
        Short name for tables.
    labels
        Numbers of labels, joined by ``+``, by the names they go under.
    image, expert
        A volume and its labels, one half of which teaches and the other is measured.
    along, slices
        Axis that is halved, and how many slices of the first half are painted; 0 for all.
    taught, measured
        Or whole volumes, each with its labels.
    sides
        Pixels of a slice's shorter side; 0 for the encoder's own.
    reads
        How it is measured. Proposals take long: those of the first seed and side only.
    shuffled
        Whether each painted slice has the labels of another.
    other
        Where something else is clicked on with the adapter.
    """

    name: str
    labels: dict[str, str]
    image: str = ""
    expert: str = ""
    along: Literal["slices", "rows", "columns"] = "columns"
    slices: int = 4
    taught: tuple[tuple[str, str], ...] = ()
    measured: tuple[tuple[str, str], ...] = ()
    sides: tuple[int, ...] = (0,)
    reads: tuple[Reads, ...] = ("probe",)
    shuffled: bool = False
    other: Other | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def is_halved(self) -> bool:
        """Whether it is one volume, not a cohort."""
        return not self.taught

    @property
    def has_seeds(self) -> bool:
        """Whether the frozen encoder is read otherwise for another seed."""
        return self.is_halved and (self.slices > 0 or "clicks" in self.reads)


@dataclass(frozen=True)
class Task:
    """One run: an encoder, frozen or adapted, on a set.

    Parameters
    ----------
    of
        Name of the set.
    side, seed
        Of the encoder, and of the run.
    lessons
        That an adapter is given; 0 for the frozen encoder.
    """

    of: str
    side: int
    seed: int
    lessons: int


@dataclass(frozen=True)
class Setup:
    """What all runs share.

    Parameters
    ----------
    sets
        By name.
    encoder, device
        The encoder without a side; where it computes.
    folder
        Where rows and adapters are kept.
    """

    sets: dict[str, AdaptSet]
    encoder: str
    device: str
    folder: Path

    @property
    def rows(self) -> Path:
        """The file of rows, one in a line."""
        return self.folder / "rows.jsonl"

    def adapter(self, task: Task) -> Path:
        """Where a task's adapter is kept."""
        name = "-".join(task.of.replace(",", "").split())
        numbers = f"{task.side or 'own'}-{task.seed}-{task.lessons}"
        return self.folder / f"{name}-{numbers}.dinoadapt"


def load_sets(path: Path) -> dict[str, AdaptSet]:
    """Read the sets of a suite: a TOML file with a table ``[[set]]`` for each.

    Raises
    ------
    ReadError
        Where it is missing, is not TOML, or a set lacks something.
    """
    sets = load_tables(path, "set", AdaptSet)
    folder = path.resolve().parent
    return {one.name: _placed(one, folder) for one in sets}


def tasks_of(sets: dict[str, AdaptSet], seeds: int, lessons: Sequence[int]) -> list[Task]:
    """All runs, in an order in which the first tell most: seed by seed.

    What is frozen differs from seed to seed only where other slices are painted.
    """
    made: dict[Task, None] = {}
    for number in lessons:
        for seed in range(seeds):
            for one in sets.values():
                for side in one.sides:
                    if not one.shuffled and (one.has_seeds or not seed):
                        made[Task(one.name, side, seed, 0)] = None
                    made[Task(one.name, side, seed, number)] = None
    return list(made)


def _placed(one: AdaptSet, folder: Path) -> AdaptSet:
    """A set whose files lie where its suite does."""

    def at(name: str) -> str:
        return str(folder / name) if name else ""

    def all_at(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((at(image), at(labels)) for image, labels in pairs)

    other = one.other
    if other is not None:
        other = replace(other, image=at(other.image), labels=at(other.labels))
    return replace(
        one,
        image=at(one.image),
        expert=at(one.expert),
        taught=all_at(one.taught),
        measured=all_at(one.measured),
        other=other,
    )
