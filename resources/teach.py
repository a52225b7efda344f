"""Teach the network that weighs cues, by simulated clicks on the odd patients.

``torchrun --nproc-per-node 2 resources/teach.py LOOKS OUT.safetensors --minutes 60``

``LOOKS`` is a folder with one file for each patient and encoder, as `encode` writes them;
``python resources/teach.py`` with ``--encode`` writes them from volumes and expert labels.
What is taught here is shipped: only volumes under MIT, CC BY or CC0 terms may be read.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cc3d
import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch.nn import functional

from napari_dinomed.bench.clicks import next_click
from napari_dinomed.io import read_labels, read_volume
from napari_dinomed.segment.regions import connected
from napari_dinomed.segment.one_object import cues as cue_names
from napari_dinomed.volume import Window
from napari_dinomed.segment.one_object.cells import Cells
from napari_dinomed.segment.one_object.cues import Marks, View
from napari_dinomed.segment.one_object.search import Found, Search
from napari_dinomed.segment.one_object.looks import Looks
from napari_dinomed.segment.one_object.network import CueNet

# Passes of the network between two steps of the optimiser, in each process.
PASSES = 4
RATE = 1.5e-3
MOST_TURNS = 8
# Organs of which a crop holds less are not asked for.
LEAST_VOXELS = 60
# How often a whole patient, a crop of one and a made-up volume come.
SHARES = (0.4, 0.45, 0.15)
# Of binary cross-entropy, beside soft Dice.
CROSS_ENTROPY = 0.3


@dataclass(frozen=True, eq=False)
class Patient:
    name: str
    encoder: str
    grey: torch.Tensor
    labels: np.ndarray
    spacing: tuple[float, float, float]
    looks: tuple[Looks, ...]
    organs: tuple[int, ...]

    @classmethod
    def load(cls, file: Path) -> Patient:
        kept = torch.load(file, weights_only=True)
        if "grey" in kept:
            array, labels = kept["grey"].numpy(), kept["labels"].numpy()
        else:
            image = Path(kept["path"])
            array = read_volume(image).array
            labels, _ = read_labels(Path(str(image).replace("_image", "_label")))
        low, high = kept["window"]
        grey = torch.from_numpy(Window(low, high).apply(array))
        looks = tuple(Looks(*parts) for parts in kept["looks"])
        crop = tuple(slice(*side) for side in kept.get("crop", [(None, None)] * 3))
        grey, labels = grey[crop].contiguous(), np.ascontiguousarray(labels[crop])
        sizes = np.bincount(labels.ravel(), minlength=2)
        organs = tuple(int(n) for n in np.flatnonzero(sizes[1:] > LEAST_VOXELS) + 1)
        return cls(
            file.stem,
            file.parent.name,
            grey,
            labels.astype(np.uint8),
            kept["spacing"],
            looks,
            organs,
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """What one session of clicks is about."""

    grey: torch.Tensor
    truth: np.ndarray
    spacing: tuple[float, float, float]
    looks: tuple[Looks, ...]
    whole: tuple[slice, ...]

    def see(self, box: tuple[slice, ...], most: int) -> View:
        cells = Cells.over(box, self.spacing, most)
        return View(cells, cells.mean_of(self.grey[box])[None], self.looks)

    def target(self, cells: Cells) -> torch.Tensor:
        return cells.mean_of(torch.from_numpy(self.truth[cells.box].astype(np.float32)))


def random_tone(grey: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Grey values through a random monotone curve, falling at times; with noise at times."""
    steps = random.dirichlet(np.full(6, 1.5)).cumsum()
    knots = torch.from_numpy(np.concatenate([[0.0], steps]).astype(np.float32))
    place = grey * 6
    low = place.long().clamp(0, 5)
    toned = knots[low] + (place - low) * (knots[low + 1] - knots[low])
    if random.random() < 0.3:
        toned = 1 - toned
    if random.random() < 0.3:
        noise = torch.from_numpy(random.standard_normal(grey.shape, dtype=np.float32))
        toned = (toned + float(random.uniform(0, 0.1)) * noise).clamp(0, 1)
    return toned


def made_up(patient: Patient, random: np.random.Generator) -> np.ndarray | None:
    """A connected region of like grey values: an object of a kind nobody labelled."""
    centre = [int(random.integers(n // 8, n - n // 8)) for n in patient.grey.shape]
    reach = int(random.integers(8, max(9, min(40, min(patient.grey.shape)))))
    box = tuple(slice(max(0, c - reach), c + reach) for c in centre)
    grey = ndimage.gaussian_filter(patient.grey[box].numpy(), random.uniform(0.5, 1.5))
    here = grey[tuple(c - s.start for c, s in zip(centre, box, strict=True))]
    width = random.uniform(0.03, 0.15)
    mask = np.abs(grey - here) < width
    mask = ndimage.binary_opening(mask, iterations=int(random.integers(1, 3)))
    parts = cc3d.connected_components(mask, connectivity=6)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    part = int(sizes.argmax())
    if sizes[part] < 60 or sizes[part] > 0.4 * mask.size:
        return None
    truth = np.zeros(patient.labels.shape, dtype=bool)
    truth[box] = ndimage.binary_fill_holes(parts == part)
    return truth


class Cohort:
    """Whole patients, crops of them, and made-up volumes; new files are found as they come."""

    def __init__(self, folder: Path, held_out: tuple[str, ...]) -> None:
        self.folder, self.held_out = folder, held_out
        self.known: set[Path] = set()
        self.groups: list[list[Patient]] = [[], [], []]
        self.refresh()

    def refresh(self) -> None:
        for file in sorted(self.folder.glob("*/*.pt")):
            if file in self.known or "hippocampus" in file.name:
                continue
            self.known.add(file)
            if not any(name in file.name for name in self.held_out):
                patient = Patient.load(file)
                if patient.organs:
                    self.groups[kind_of(patient.name)].append(patient)
        print([len(group) for group in self.groups], "patients", flush=True)


def kind_of(name: str) -> int:
    return 2 if name.startswith("made_up") else 1 if "crop" in name else 0


def draw_scene(patients: list[list[Patient]], random: np.random.Generator) -> Scene:
    while True:
        group = patients[int(random.choice(len(patients), p=SHARES))]
        patient = group[int(random.integers(len(group)))]
        if random.random() < 0.1:
            truth = made_up(patient, random)
        else:
            truth = patient.labels == random.choice(patient.organs)
        if truth is not None and truth.any():
            break
    grey = patient.grey
    if random.random() < 0.6:
        grey = random_tone(grey, random)
    whole = tuple(slice(0, n) for n in truth.shape)
    if random.random() < 0.5:
        whole = random_crop(truth, random)
    spacing = patient.spacing
    if random.random() < 0.3:
        factor = np.ones(3)
        factor[int(random.integers(3))] = random.uniform(1.5, 4)
        spacing = tuple(float(v) for v in np.array(spacing) * factor)
    looks = patient.looks
    if len(looks) > 1 and random.random() < 0.3:
        looks = looks[:1]
    return Scene(grey, truth, spacing, looks, whole)


def random_crop(truth: np.ndarray, random: np.random.Generator) -> tuple[slice, ...]:
    (region,) = ndimage.find_objects(truth.astype(np.int8))
    return tuple(
        slice(
            int(side.start * random.random() ** 0.5),
            int(side.stop + (n - side.stop) * (1 - random.random() ** 0.5)),
        )
        for side, n in zip(region, truth.shape, strict=True)
    )


class Taught:
    """The network as one who looks for objects calls it; adds up losses on the way."""

    def __init__(self, network: CueNet, scene: Scene, hidden: tuple[str, ...]) -> None:
        self.network, self.scene = network, scene
        self.hidden = [cue_names.NAMES.index(name) for name in hidden]
        self.losses: list[torch.Tensor] = []

    def weigh(self, cells: Cells, cues: torch.Tensor) -> torch.Tensor:
        cues[self.hidden] = 0
        with torch.autocast("cpu", torch.bfloat16):
            logit = self.network(cues)
        logit = logit.float()
        target = self.scene.target(cells)
        probability = logit.sigmoid()
        dice = 1 - (2 * (probability * target).sum() + 1) / (
            probability.sum() + target.sum() + 1
        )
        self.losses.append(
            CROSS_ENTROPY * functional.binary_cross_entropy_with_logits(logit, target)
            + dice
        )
        return probability.detach()


def last_of(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def mask_of(found: Found, included: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    box = found.cells.box
    part = (found.cells.to_voxels(found.probability) > 0.5).numpy()
    mask[box] = connected(part, included - np.array([s.start for s in box]))
    return mask


def error_click(scene: Scene, mask: np.ndarray, random: np.random.Generator | None):
    error = scene.truth ^ mask
    if not error.any():
        return None
    (box,) = ndimage.find_objects(error.astype(np.int8))
    point = next_click(scene.truth[box], mask[box], scene.spacing, random=random)
    voxel = np.array([v + s.start for v, s in zip(point.voxel, box, strict=True)])
    return voxel, point.include


def session(network: CueNet, scene: Scene, random: np.random.Generator):
    """Losses of every turn of one session."""
    readout = random.random()
    hidden = (
        cue_names.PROBE if readout < 0.15 else cue_names.LIKENESS if readout < 0.3 else ()
    )
    taught = Taught(network, scene, hidden)
    most = int(np.exp(random.uniform(np.log(6_000), np.log(48_000))))
    search = Search(scene.see, taught.weigh, scene.whole, most)
    included, excluded = np.zeros((0, 3), int), np.zeros((0, 3), int)
    mask, found = np.zeros_like(scene.truth), None
    for _ in range(1 + int(random.integers(MOST_TURNS))):
        click = error_click(scene, mask, random if random.random() < 0.5 else None)
        if click is None:
            return
        voxel, adds = click
        if adds:
            included = np.vstack([included, voxel])
        else:
            excluded = np.vstack([excluded, voxel])
        marks = Marks(included, excluded)
        steps = (
            search.first(marks)
            if found is None
            else search.later(marks, found, voxel, adds)
        )
        found = last_of(steps)
        mask = mask_of(found, included, scene.truth.shape)
        yield taught.losses
        taught.losses = []


def teach(cohort: Cohort, out: Path, minutes: float, seed: int, init: Path | None) -> None:
    rank, size = (
        (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    )
    torch.manual_seed(seed)
    network = CueNet()
    torch.nn.init.constant_(network.last.bias, -1.5)
    if init is not None:
        network.load_state_dict(load_file(init))
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
    averaged = {name: value.clone() for name, value in network.state_dict().items()}
    random = np.random.default_rng([seed, rank])
    begun, step, losses, passes, shown = time.time(), 0, [], 0, []
    turns = iter(())
    while True:
        done = torch.tensor((time.time() - begun) / 60 / minutes)
        if size > 1:
            dist.broadcast(done, 0)
        share = float(done)
        if share >= 1:
            break
        warm = min(1.0, (step + 1) / 100) if init is None else 1.0
        for group in optimiser.param_groups:
            group["lr"] = RATE * warm * 0.5 * (1 + np.cos(np.pi * share)) + 1e-6
        count = 0
        while count < PASSES:
            made = next(turns, None)
            if made is None:
                turns = session(network, draw_scene(cohort.groups, random), random)
                continue
            total = torch.stack(made).sum() / PASSES
            total.backward()
            count += len(made)
            shown.extend(float(loss.detach()) for loss in made)
        if size > 1:
            flat = torch.cat([p.grad.flatten() for p in network.parameters()])
            dist.all_reduce(flat)
            flat /= size
            at = 0
            for p in network.parameters():
                p.grad.copy_(flat[at : at + p.numel()].view_as(p))
                at += p.numel()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=False)
        step += 1
        passes += count
        keep = min(0.998, step / (step + 10))
        for name, value in network.state_dict().items():
            averaged[name].lerp_(value, 1 - keep)
        if step % 300 == 0:
            cohort.refresh()
        if rank == 0 and step % 100 == 0:
            print(
                f"{share:.2f} step {step} passes {passes} loss {np.mean(shown[-1500:]):.4f}",
                flush=True,
            )
            save_file({n: v.half().contiguous() for n, v in averaged.items()}, out)
    if rank == 0:
        save_file({n: v.half().contiguous() for n, v in averaged.items()}, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("looks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--held-out", nargs="*", default=[])
    given = parser.parse_args()
    torch.set_num_threads(1)
    if "RANK" in __import__("os").environ:
        dist.init_process_group("gloo")
    teach(
        Cohort(given.looks, tuple(given.held_out)),
        given.out,
        given.minutes,
        given.seed,
        given.init,
    )


if __name__ == "__main__":
    main()
