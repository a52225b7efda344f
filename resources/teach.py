"""Teach the network that weighs cues, by simulated clicks.

    torchrun --nproc-per-node 2 resources/teach.py FOLDER network.safetensors --minutes 60

``FOLDER`` is filled by ``teach_volumes.py``; files that come later are found. Every session
of clicks goes as in the product: a first look at the whole volume, closer ones, a click on
the largest error, and so on. The network learns at each look what it should have said.
Processes learn by themselves and take the mean of what they learnt now and then (Stich
2019), so that none waits for another's large volume. With ``--device cuda`` they share a
GPU: ten took 45 looks a second on an H100, since each waits for the others' many small
steps; a core takes 11.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cc3d
import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch.nn import functional

from napari_dinomed.annotation.prompts import Painted
from napari_dinomed.bench.clicks import first_stroke, next_click
from napari_dinomed.segment.one_object import cues as cue_names
from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.cues import Marks, View
from napari_dinomed.segment.one_object.looks import Looks
from napari_dinomed.segment.one_object.method import MOST_OF_A_STROKE
from napari_dinomed.segment.one_object.network import CueNet
from napari_dinomed.segment.one_object.options import SearchOptions
from napari_dinomed.segment.one_object.search import Found, Search, parts_of
from napari_dinomed.segment.regions import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    Voxel = np.ndarray
    Random = np.random.Generator

# Looks between two steps of the optimiser, in each process; and steps between two means of
# what all processes learnt.
LOOKS_A_STEP, STEPS_A_ROUND, ROUNDS_A_REPORT = 4, 8, 4
RATE = 5e-4
# Steps whose gradient is so many times the usual one are left out: one odd scene.
MOST_GRADIENT = 4
# Weights that hardly any scene moves must not be thrown far by the first that does.
BETAS, EPSILON = (0.9, 0.98), 3e-4
# Beyond this a logit is sure, and taught no further.
SURE = 15.0
MOST_TURNS = 10
# Cells of a look at most, drawn anew for each session, so that objects come at any size.
CELLS = (12_000, 100_000)
# Organs of which a crop holds less are not asked for.
LEAST_VOXELS = 60
# How often a whole patient, a crop of one, one with made-up organs, made-up shapes and a
# made-up body come. In the last 15,000 of 48,000 looks: .4, .15, .2, .1 and .15, which gave
# small organs back what they had lost.
SHARES = {"whole": 0.25, "crop": 0.15, "implant": 0.25, "made_up": 0.1, "body": 0.25}
# How often a small scan is enlarged, and up to how many voxels: in large volumes objects
# reach over many more cells than most of those that teach have voxels.
ENLARGED, ENLARGED_SHARE, MOST_VOXELS = 3, 0.5, 10_000_000
# How often a region of like grey values is asked for, instead of something labelled.
UNLABELLED = 0.1
# How often a stroke comes before the clicks.
STROKES = 0.15
# Weight of binary cross-entropy, beside soft Dice.
CROSS_ENTROPY = 0.5
# What is seen is made unreliable, so that no cue is trusted alone: gains, noise, blindness.
GAINS, NOISE, BLIND = (0.5, 1.4), 0.15, 0.08
UNRELIABLE = (
    *cue_names.LIKENESS,
    *cue_names.PROBE,
    "grey_from_included",
    "grey_to_included",
    "grey_to_excluded",
    "grey_competition",
)
GREY = tuple(name for name in cue_names.NAMES if name.startswith("grey"))
# How often something else than all cues is given, so that each sense can do without the
# others: no probe, nothing of k-NN, no grey values.
SENSES = (cue_names.PROBE, cue_names.LIKENESS, GREY)
WITHOUT_A_SENSE = 0.15


@dataclass(frozen=True, eq=False)
class Scan:
    """A volume with labels, and what an encoder says of it."""

    grey: torch.Tensor
    labels: np.ndarray
    spacing: tuple[float, float, float]
    looks: tuple[Looks, ...]
    organs: tuple[int, ...]
    sizes: np.ndarray

    def enlarged(self, factor: int) -> Scan:
        """The same of so many times as many voxels along each axis."""
        shape = tuple(factor * length for length in self.labels.shape)
        grey = functional.interpolate(self.grey[None, None], shape, mode="trilinear")[0, 0]
        labels = self.labels
        for axis in range(3):
            labels = labels.repeat(factor, axis)
        looks = tuple(
            Looks(part.unit, shape, part.axis, part.step * factor) for part in self.looks
        )
        z, y, x = (length / factor for length in self.spacing)
        return replace(self, grey=grey, labels=labels, spacing=(z, y, x), looks=looks)

    @classmethod
    def load(cls, file: Path) -> Scan:
        # Read when it is drawn, and by all processes from the same memory.
        kept = torch.load(file, weights_only=True, mmap=True)
        labels = kept["labels"].numpy()
        sizes = np.bincount(labels.ravel(), minlength=2)
        organs = np.flatnonzero(sizes[1:] > LEAST_VOXELS) + 1
        looks = tuple(Looks(*parts) for parts in kept["looks"])
        z, y, x = (float(length) for length in kept["spacing"])
        known = tuple(map(int, organs))
        return cls(kept["grey"], labels, (z, y, x), looks, known, sizes[organs])

    def on(self, device: torch.device) -> Scan:
        """The same on a device, in single precision."""
        looks = tuple(
            Looks(part.unit.to(device), self.labels.shape, part.axis, part.step)
            for part in self.looks
        )
        return replace(self, grey=self.grey.to(device).float(), looks=looks)


@dataclass(eq=False)
class Cohort:
    """Scans of every kind, by encoder; new files are found as they come."""

    folder: Path
    device: torch.device
    known: set[Path] = field(default_factory=set)
    scans: dict[str, dict[str, list[Scan]]] = field(
        default_factory=lambda: {kind: {} for kind in SHARES}
    )

    def refresh(self) -> None:
        for file in sorted(set(self.folder.glob("*/*.pt")) - self.known):
            self.known.add(file)
            scan = Scan.load(file)
            if scan.organs:
                (kind,) = (kind for kind in SHARES if kind in file.stem)
                self.scans[kind].setdefault(file.parent.name, []).append(scan)

    def draw(self, random: Random) -> Scan:
        """A scan of a kind and an encoder, enlarged at times."""
        scan = self._drawn(random).on(self.device)
        is_small = scan.labels.size * ENLARGED**3 < MOST_VOXELS
        if is_small and random.random() < ENLARGED_SHARE:
            return scan.enlarged(ENLARGED)
        return scan

    def _drawn(self, random: Random) -> Scan:
        there = [kind for kind in SHARES if self.scans[kind]]
        shares = np.array([SHARES[kind] for kind in there])
        kind = self.scans[random.choice(there, p=shares / shares.sum())]
        # Every encoder comes as often, however many volumes it has seen.
        scans = kind[random.choice(sorted(kind))]
        return scans[int(random.integers(len(scans)))]


@dataclass(frozen=True, eq=False)
class Scene:
    """What one session of clicks is about."""

    grey: torch.Tensor
    truth: np.ndarray
    spacing: tuple[float, float, float]
    looks: tuple[Looks, ...]
    whole: tuple[slice, ...]

    @cached_property
    def seen_truth(self) -> torch.Tensor:
        return torch.from_numpy(self.truth).to(self.grey.device)

    @classmethod
    def draw(cls, cohort: Cohort, random: Random) -> Scene:
        """An object of a scan, varied in grey values, extent, spacing and planes."""
        truth = None
        while truth is None:
            scan = cohort.draw(random)
            if random.random() < UNLABELLED:
                truth = like_grey(scan, random)
            else:
                # Large objects are few, and small ones many: by the root of the size both
                # come. By the size itself, a click on a parotid gave all soft tissue.
                shares = np.sqrt(scan.sizes)
                truth = scan.labels == random.choice(scan.organs, p=shares / shares.sum())
        grey, spacing, looks = scan.grey, np.array(scan.spacing), scan.looks
        if random.random() < 0.6:
            grey = toned(grey, random)
        whole = tuple(slice(0, length) for length in truth.shape)
        if random.random() < 0.5:
            whole = cut(truth, random)
        if random.random() < 0.3:
            spacing[int(random.integers(3))] *= random.uniform(1.5, 4)
        if len(looks) > 1 and random.random() < 0.3:
            looks = looks[:1]
        z, y, x = (float(length) for length in spacing)
        return cls(grey, truth, (z, y, x), looks, whole)

    def see(self, box: tuple[slice, ...], most: int) -> View:
        cells = Cells.over(box, self.spacing, most)
        extent = Cells(self.whole, (1, 1, 1), self.spacing).edge / cells.edge
        return View(cells, cells.mean_of(self.grey[box])[None], self.looks, extent)

    def target(self, cells: Cells) -> torch.Tensor:
        return cells.mean_of(self.seen_truth[cells.box].float())

    def click(self, mask: np.ndarray, random: Random | None) -> tuple[Voxel, bool] | None:
        error = self.truth ^ mask
        if not error.any():
            return None
        (box,) = ndimage.find_objects(error.astype(np.int8))
        point = next_click(self.truth[box], mask[box], self.spacing, random=random)
        start = np.array([side.start for side in box])
        return start + np.array(point.voxel), point.include

    def stroke(self) -> np.ndarray:
        """Marks (n, 3) of a stroke through what is sought."""
        (box,) = ndimage.find_objects(self.truth.astype(np.int8))
        voxels = first_stroke(self.truth[box], self.spacing).mask.voxels()
        stroke = Painted(voxels, np.ones(len(voxels), dtype=bool), (len(voxels),))
        start = np.array([side.start for side in box])
        return start + stroke.each_thinned(MOST_OF_A_STROKE).voxels

    def mask_of(self, found: Found, included: np.ndarray) -> np.ndarray:
        mask = np.zeros(self.truth.shape, dtype=bool)
        part = (found.cells.to_voxels(found.probability) > 0.5).numpy(force=True)
        start = np.array([side.start for side in found.cells.box])
        mask[found.cells.box] = connected(part, included - start)
        return mask


def toned(grey: torch.Tensor, random: Random) -> torch.Tensor:
    """Grey values through a random curve, falling at times; with noise at times."""
    steps = random.dirichlet(np.full(6, 1.5)).cumsum()
    knots = torch.from_numpy(np.concatenate([[0.0], steps])).to(grey)
    low = (grey * 6).long().clamp(0, 5)
    curve = knots[low] + (grey * 6 - low) * (knots[low + 1] - knots[low])
    if random.random() < 0.3:
        curve = 1 - curve
    if random.random() < 0.3:
        noise = float(random.uniform(0, 0.1)) * torch.randn_like(grey)
        curve = (curve + noise).clamp(0, 1)
    return curve


def cut(truth: np.ndarray, random: Random) -> tuple[slice, ...]:
    """A box around what is sought that stands for the whole volume."""
    (region,) = ndimage.find_objects(truth.astype(np.int8))
    before, after = random.random((2, 3)) ** 0.5
    return tuple(
        slice(int(side.start * low), int(side.stop + (length - side.stop) * (1 - high)))
        for side, length, low, high in zip(region, truth.shape, before, after, strict=True)
    )


def like_grey(scan: Scan, random: Random) -> np.ndarray | None:
    """A connected region of like grey values: an object of a kind nobody labelled."""
    shape = scan.labels.shape
    centre = [int(random.integers(n // 8, n - n // 8)) for n in shape]
    reach = int(random.integers(8, max(9, min(40, *shape))))
    box = tuple(slice(max(0, c - reach), c + reach) for c in centre)
    grey = scan.grey[box].numpy(force=True)
    grey = ndimage.gaussian_filter(grey, random.uniform(0.5, 1.5))
    here = grey[tuple(c - side.start for c, side in zip(centre, box, strict=True))]
    mask = np.abs(grey - here) < random.uniform(0.03, 0.15)
    mask = ndimage.binary_opening(mask, iterations=int(random.integers(1, 3)))
    parts = cc3d.connected_components(mask, connectivity=6)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if not LEAST_VOXELS < sizes.max() < 0.4 * mask.size:
        return None
    part = np.pad(parts == sizes.argmax(), 1)
    if any(part.take(side, axis).any() for axis in range(3) for side in (1, -2)):
        return None  # It goes on beyond the box, and would end where there is no edge.
    truth = np.zeros(shape, dtype=bool)
    truth[box] = ndimage.binary_fill_holes(parts == sizes.argmax())
    return truth


class Pupil:
    """The network as a search calls it; keeps the loss of every look."""

    def __init__(self, network: CueNet, scene: Scene, random: Random) -> None:
        self._network, self._scene = network, scene
        lost = int(random.random() / WITHOUT_A_SENSE)
        hidden = SENSES[lost] if lost < len(SENSES) else ()
        self._hidden = [cue_names.NAMES.index(name) for name in hidden]
        self._seen = [cue_names.NAMES.index(name) for name in UNRELIABLE]
        shape = (len(UNRELIABLE), 1, 1, 1)
        gains = random.uniform(*GAINS, shape) * (random.random(shape) >= BLIND)
        noise = random.uniform(0, NOISE, shape)
        self._gains = torch.from_numpy(gains).to(scene.grey)
        self._noise = torch.from_numpy(noise).to(scene.grey)
        self.losses: list[torch.Tensor] = []

    def weigh(self, cells: Cells, cues: torch.Tensor) -> torch.Tensor:
        seen = cues[self._seen]
        cues[self._seen] = self._gains * seen + self._noise * torch.randn_like(seen)
        cues[self._hidden] = 0
        with torch.autocast(cues.device.type, torch.bfloat16):
            logit = self._network(cues)
        logit, target = logit.float().clamp(-SURE, SURE), self._scene.target(cells)
        probability = logit.sigmoid()
        both = (probability * target).sum()
        dice = (2 * both + 1) / (probability.sum() + target.sum() + 1)
        entropy = functional.binary_cross_entropy_with_logits(logit, target)
        self.losses.append(CROSS_ENTROPY * entropy + 1 - dice)
        return probability.detach()


def session(network: CueNet, scene: Scene, random: Random) -> Iterator[list[torch.Tensor]]:
    """Losses of every turn of one session of clicks."""
    pupil = Pupil(network, scene, random)
    most = int(np.exp(random.uniform(*np.log(CELLS))))
    mask, found = np.zeros_like(scene.truth), None
    sides = {side: np.zeros((0, 3), dtype=np.int64) for side in (True, False)}
    for turn in range(1 + int(random.integers(MOST_TURNS))):
        if turn == 0 and random.random() < STROKES:
            sides[True] = scene.stroke()
        else:
            click = scene.click(mask, random if random.random() < 0.5 else None)
            if click is None:
                return
            voxel, adds = click
            sides[adds] = np.vstack([sides[adds], voxel])
        pupil.losses = []
        options = SearchOptions(most_cells=most, later_cells=most)
        parts = parts_of(scene.truth.shape, scene.spacing, options)
        search = Search(scene.see, pupil.weigh, scene.whole, options, parts)
        marks = Marks(sides[True], sides[False])
        if found is None:
            found = returned(search.first(marks))
        else:
            found = returned(search.later(marks, found, voxel, adds))
        mask = scene.mask_of(found, sides[True])
        if pupil.losses:  # A click that says what was found already needs no look.
            yield pupil.losses


def returned(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def teach(
    cohort: Cohort, network: CueNet, out: Path, minutes: float, rate: float, seed: int
) -> None:
    rank = dist.get_rank() if dist.is_initialized() else 0
    random = np.random.default_rng([seed, rank])
    optimiser = torch.optim.AdamW(
        network.parameters(), rate, BETAS, EPSILON, weight_decay=1e-3
    )
    pupils = steps(cohort, network, optimiser, random)
    mean = {name: value.clone() for name, value in network.state_dict().items()}
    begun, rounds, losses = time.time(), 0, []
    while (share := agreed((time.time() - begun) / 60 / minutes)) < 1:
        for group in optimiser.param_groups:
            warm = min(1.0, (rounds + 1) / 12)
            group["lr"] = rate * warm * (1 + np.cos(np.pi * share)) / 2
        for _ in range(STEPS_A_ROUND):
            losses.extend(next(pupils))
        share_weights(network)
        rounds += 1
        for name, value in network.state_dict().items():
            mean[name].lerp_(value, 1 - min(0.984, rounds / (rounds + 10)))
        if rounds % ROUNDS_A_REPORT == 0:
            cohort.refresh()
            if rank == 0:
                recent = np.median(losses[-1500:])
                print(f"{share:.2f} {rounds} {len(losses)} {recent:.3f}", flush=True)
                save(mean, out)
    if rank == 0:
        save(mean, out)


def steps(
    cohort: Cohort, network: CueNet, optimiser: torch.optim.Optimizer, random: Random
) -> Iterator[list[float]]:
    """Losses of the looks between two steps of the optimiser, without end."""
    norms: list[float] = []
    turns: Iterator[list[torch.Tensor]] = iter(())
    while True:
        losses: list[torch.Tensor] = []
        while len(losses) < LOOKS_A_STEP:
            turn = next(turns, None)
            if turn is None:
                turns = session(network, Scene.draw(cohort, random), random)
                continue
            (torch.stack(turn).sum() / LOOKS_A_STEP).backward()
            losses.extend(loss.detach() for loss in turn)
        norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0))
        usual = float(np.median(norms[-200:])) if len(norms) > 20 else np.inf
        norms.append(norm if np.isfinite(norm) else usual)
        if norm <= MOST_GRADIENT * usual:
            optimiser.step()
        optimiser.zero_grad(set_to_none=False)
        yield torch.stack(losses).tolist()


def save(weights: dict[str, torch.Tensor], out: Path) -> None:
    save_file(
        {name: value.half().cpu().contiguous() for name, value in weights.items()}, out
    )


def agreed(value: float) -> float:
    """The same number in every process: that of the first."""
    shared = torch.tensor(value)
    if dist.is_initialized():
        dist.broadcast(shared, 0)
    return float(shared)


@torch.no_grad()
def share_weights(network: CueNet) -> None:
    """Give every process the mean of all weights."""
    if dist.is_initialized():
        parameters = list(network.parameters())
        flat = torch.nn.utils.parameters_to_vector(parameters).cpu()
        dist.all_reduce(flat)
        flat = (flat / dist.get_world_size()).to(parameters[0])
        torch.nn.utils.vector_to_parameters(flat, parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=RATE, help="less for one process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", type=Path, help="weights to go on from")
    parser.add_argument(
        "--keep",
        type=float,
        default=0.0,
        help="share of those in what is written (Wortsman et al. 2022): less is forgotten",
    )
    parser.add_argument("--device", type=torch.device, default="cpu")
    given = parser.parse_args()
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    network = CueNet().to(given.device)
    if given.init is not None:
        network.load_state_dict(load_file(given.init))
    cohort = Cohort(given.folder, given.device)
    cohort.refresh()
    teach(cohort, network, given.out, given.minutes, given.rate, given.seed)
    if given.init is not None and given.keep:
        before, after = load_file(given.init), load_file(given.out)
        save(
            {
                n: torch.lerp(v.float(), before[n].float(), given.keep)
                for n, v in after.items()
            },
            given.out,
        )


if __name__ == "__main__":
    main()
