"""Teaching adapters: crops of painted slices, a linear head on several blocks.

The head is what the product's linear readouts are, so what it needs from the tokens they
need too. It begins as a probe of the frozen tokens: a random one would first spoil them
(Kumar et al., arXiv 2202.10054).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_dinomed.adapt.augment import augmented
from napari_dinomed.adapt.painted import image_of
from napari_dinomed.errors import ModelError
from napari_dinomed.features.device import computing_in, half_precision, wait_for

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from napari_dinomed.adapt.painted import PaintedSlice
    from napari_dinomed.features.backbone import BackboneEncoder
    from napari_dinomed.features.lora import LowRank
    from napari_dinomed.segment.heads import LinearProbe

# Lessons of a run, by far: seeds are that far apart, so that no two draw the same crops.
_MOST_LESSONS = 1_000_000
# Crops of a lesson, and pixels along their sides: a whole CT slice as encoders see it.
CROPS = 4
CROP = 448
_DECAY = 1e-2
# Share of the lessons in which the rate rises.
_WARM_UP = 0.1
# Gradients longer than that are cut: the first lessons of an adapter are rough.
_LONGEST = 1.0
# Logit, to begin with, of a class that no token which teaches is of: rare, not impossible.
_UNSEEN = -4.0


class LinearHead(nn.Module):
    """Logits of classes from the tokens of several blocks, side by side.

    Parameters
    ----------
    probe
        Where it begins. It knows the classes of what taught it, which may lack some.
    classes
        How many there are, with what is not labelled.
    """

    def __init__(self, probe: LinearProbe, classes: int) -> None:
        super().__init__()
        known = (probe.coefficients_ / probe.scale_[:, None]).T.cpu()
        seen = probe.classes_.cpu()
        weights = torch.zeros(classes, known.shape[1])
        weights[seen] = known
        offsets = torch.full((classes,), _UNSEEN)
        offsets[seen] = probe.intercepts_.cpu() - known @ probe.mean_.cpu()
        self.linear = nn.Conv2d(weights.shape[1], classes, 1)
        self.linear.weight = nn.Parameter(weights[:, :, None, None])
        self.linear.bias = nn.Parameter(offsets)

    def forward(self, layers: Sequence[torch.Tensor], size: torch.Size) -> torch.Tensor:
        """Logits (n, classes, rows, columns) of layers (n, channels, rows, columns)."""
        logits = self.linear(torch.cat([layer.float() for layer in layers], dim=1))
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)


@dataclass(frozen=True, eq=False)
class Course:
    """What a pupil is taught by.

    Parameters
    ----------
    images
        Of each slice, (colours, rows, columns), half precision, in [0, 1].
    classes
        Of each of their pixels, (rows, columns).
    side, together
        Pixels along the sides of a crop, and how many crops memory holds at once.
    turns
        Whether a slice has no up: serial sections have none, patients have.
    lessons, rate
        How many, and the highest rate.
    seed
        Another one draws other crops, and begins elsewhere.
    """

    images: tuple[torch.Tensor, ...]
    classes: tuple[torch.Tensor, ...]
    side: int
    together: int
    turns: bool
    lessons: int
    rate: float
    seed: int = 0

    def batch(self, number: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops (n, 3, side, side) of a lesson, and their classes (n, side, side)."""
        # Of the number alone: a run that was interrupted goes on as if it had not been.
        random = torch.Generator().manual_seed(number + _MOST_LESSONS * self.seed)
        crops = [self._crop(random) for _ in range(CROPS)]
        images, classes = (
            torch.stack(parts).to(device) for parts in zip(*crops, strict=True)
        )
        return augmented(images, random), classes.long()

    def _crop(self, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        which = _draw(len(self.images), random)
        image, classes = self.images[which], self.classes[which]
        places = torch.nonzero(classes)
        corner = [_draw(length - self.side + 1, random) for length in classes.shape]
        # Every other crop lies around something that is labelled.
        if _draw(2, random) and len(places):
            middle = places[_draw(len(places), random)].tolist()
            corner = [
                min(max(0, at - _draw(self.side, random)), length - self.side)
                for at, length in zip(middle, classes.shape, strict=True)
            ]
        rows, columns = (slice(start, start + self.side) for start in corner)
        turns = _draw(8, random) if self.turns else 0
        crop = image[:, rows, columns].float().expand(3, -1, -1)
        return _turned(crop, turns), _turned(classes[rows, columns], turns)


def course_of(
    slices: Sequence[PaintedSlice],
    encoder: BackboneEncoder,
    lessons: int,
    rate: float,
    side: int,
    together: int,
    seed: int,
) -> Course:
    """What some slices teach."""
    images, classes = [], []
    for one in slices:
        size = encoder.shown_size(one.stack.slice_shape, one.plan)
        images.append(image_of(one, size))
        own = torch.from_numpy(one.classes)[None, None].float()
        classes.append(functional.interpolate(own, size, mode="nearest-exact")[0, 0].byte())
    turns = slices[0].stack.volume.modality in ("EM", "other")
    side = min(side, *(length for image in images for length in image.shape[1:]))
    side -= side % encoder.spec.stride
    return Course(tuple(images), tuple(classes), side, together, turns, lessons, rate, seed)


class Pupil:
    """Adapters and a head that are being taught.

    Parameters
    ----------
    encoder
        Whose blocks have the adapters.
    adapters
        By the names of their layers.
    head
        What reads the blocks.
    course
        What there is to learn.
    """

    def __init__(
        self,
        encoder: BackboneEncoder,
        adapters: Mapping[str, LowRank],
        head: LinearHead,
        course: Course,
    ) -> None:
        self.encoder, self.adapters, self.course = encoder, adapters, course
        self.head = head.to(encoder.torch_device)
        random = torch.Generator().manual_seed(course.seed)
        for adapter in adapters.values():
            adapter.begin(random)
        thin = [part for one in adapters.values() for part in (one.down, one.up)]
        self._parameters: list[nn.Parameter] = [*thin, *head.parameters()]
        self.solver = torch.optim.AdamW(self._parameters, course.rate, weight_decay=_DECAY)
        self.done = 0

    def teach(self) -> Iterator[float | None]:
        """Give the lessons that are left; after each its loss is yielded.

        None is yielded where it may be interrupted.
        """
        while self.done < self.course.lessons:
            for group in self.solver.param_groups:
                group["lr"] = self.course.rate * _pace(self.done, self.course.lessons)
            loss = yield from self._lesson()
            self.done += 1
            yield loss

    def loss(self, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """How far crops (n, 3, side, side) are from their classes (n, side, side)."""
        device = self.encoder.torch_device
        with computing_in(device, _precision(device)):
            layers = self.encoder.layers(images)
        return loss_of(self.head(layers, classes.shape[1:]), classes)

    def _lesson(self) -> Generator[None, None, float]:
        images, classes = self.course.batch(self.done, self.encoder.torch_device)
        self.solver.zero_grad()
        try:
            total = 0.0
            # Gradients add up, so that memory need not hold all crops of a lesson at once.
            some = self.course.together
            for image, own in zip(
                *(torch.split(one, some) for one in (images, classes)), strict=True
            ):
                loss = self.loss(image, own) * len(image) / CROPS
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
                yield
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{self.encoder.device} ran out of memory while the encoder was taught. "
                "Run the same command with --device cpu; what is done is kept."
            ) from error
        nn.utils.clip_grad_norm_(self._parameters, _LONGEST)
        self.solver.step()
        return total

    def tensors(self) -> dict[str, torch.Tensor]:
        """The adapters' numbers by name, as a file keeps them."""
        return {
            f"{name}.{part}": getattr(adapter, part).detach().cpu()
            for name, adapter in self.adapters.items()
            for part in ("down", "up")
        }


def loss_of(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, and one minus the mean soft Dice of the classes that are there."""
    entropy = functional.cross_entropy(logits, classes)
    found = torch.softmax(logits, dim=1)
    truth = functional.one_hot(classes, logits.shape[1]).movedim(-1, 1).float()
    over = (0, 2, 3)
    overlap = (2 * (found * truth).sum(over) + 1) / ((found + truth).sum(over) + 1)
    return entropy + 1 - overlap[truth.sum(over) > 0].mean()


def cost_of_a_crop(pupil: Pupil) -> tuple[int, float]:
    """Bytes that a crop takes until it is learnt from, and seconds; nothing is learnt."""
    device, kept = pupil.encoder.torch_device, 0
    images, classes = pupil.course.batch(0, device)

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss = pupil.loss(images[:1], classes[:1])
    loss.backward()  # type: ignore[no-untyped-call]
    wait_for(device)
    # Once more for the time: the first pass warms up.
    begun = time.perf_counter()
    loss = pupil.loss(images[:1], classes[:1])
    loss.backward()  # type: ignore[no-untyped-call]
    wait_for(device)
    seconds = time.perf_counter() - begun
    pupil.solver.zero_grad()
    return kept, seconds


def _precision(device: torch.device) -> torch.dtype | None:
    """Half precision on a GPU that has the one whose gradients do not vanish."""
    half = half_precision(device) if device.type != "cpu" else None
    return half if half is torch.bfloat16 else None


def _pace(done: int, total: int) -> float:
    """Share of the rate: it rises, then falls along half a cosine."""
    rising = max(1, int(_WARM_UP * total))
    if done < rising:
        return (done + 1) / rising
    angle = torch.tensor((done - rising) / max(1, total - rising) * torch.pi)
    return float((1 + torch.cos(angle)) / 2)


def _draw(below: int, random: torch.Generator) -> int:
    return int(torch.randint(max(1, below), (1,), generator=random))


def _turned(part: torch.Tensor, turns: int) -> torch.Tensor:
    """One of the eight ways to lay down a square, (..., side, side)."""
    turned = torch.rot90(part, turns % 4, (-2, -1))
    return turned.flip(-2) if turns >= 4 else turned
