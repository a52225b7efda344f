"""From a file of weights to a model that can be run: which architecture, which layout.

Four layouts are understood: timm's own; Meta's original DINOv3; a DINOv3 training
checkpoint (``teacher`` with a ``backbone.`` prefix), as MedDINOv3 (arXiv 2509.02379)
publishes; and any of them inside ``state_dict`` or ``model``. Nothing is ever unpickled
beyond plain tensors.
"""

from __future__ import annotations

import math
import pickle
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_dinomed.errors import WeightsError
from napari_dinomed.features.weights import require_weights_file
from napari_dinomed.small_file import read_small_json
from napari_dinomed.volume import Window

if TYPE_CHECKING:
    from pathlib import Path

State = dict[str, torch.Tensor]
Triple = tuple[float, float, float]

_WRAPPERS = ("teacher", "state_dict", "model", "model_ema", "module")
_PREFIXES = ("backbone.", "module.", "encoder.", "model.")
_META_NAMES = (
    ("storage_tokens", "reg_token"),
    ("ls1.gamma", "gamma_1"),
    ("ls2.gamma", "gamma_2"),
    ("mlp.w1.", "mlp.fc1_g."),
    ("mlp.w2.", "mlp.fc1_x."),
    ("mlp.w3.", "mlp.fc2."),
)
_META_ONLY = re.compile(r"mask_token|bias_mask|rope_embed\.periods|^local_cls_norm")
# Anything more, such as "hf-hub:…" or "local-dir:…", makes timm read from elsewhere.
_PLAIN_NAME = re.compile(r"\w+(\.\w+)?", re.ASCII)
_HEADS = re.compile(r"^(head|fc_norm|head_dist)\.|ibot|dino_head")
_DINOV3_SIZES = {
    192: "tiny",
    384: "small",
    768: "base",
    1024: "large",
    1280: "huge_plus",
    4096: "7b",
}
_VIT_SIZES = {
    192: "tiny",
    384: "small",
    768: "base",
    1024: "large",
    1280: "huge",
    1408: "giant",
}
# MedDINOv3 was trained on Hounsfield units in this range, with these statistics.
_HU = Window(-1000.0, 1000.0, "HU")
_HU_MEAN, _HU_STD = 65.1084, 178.0166


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of an encoder's input, for grey values in [0, 1]."""

    mean: Triple
    std: Triple
    window: Window | None = None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A loaded model and what its input must look like."""

    model: torch.nn.Module
    architecture: str
    statistics: Statistics


def load_checkpoint(path: Path, architecture: str | None = None) -> Checkpoint:
    """Build the model that fits a file of weights, and load them.

    A JSON file of the same name with ``.json`` appended may say ``architecture``,
    ``mean``, ``std`` (three numbers each) and ``window`` (low, high).

    Parameters
    ----------
    path
        A ``.safetensors`` file, or a ``.pth`` that holds tensors only.
    architecture
        timm's name of the model; read from the keys and shapes if None.

    Raises
    ------
    WeightsError
        Where the file is missing, damaged, holds code, or fits no known architecture.
    """
    require_weights_file(path)
    sidecar = _read_sidecar(path)
    values = _read_state(path)
    try:
        return _built(values, architecture or sidecar.get("architecture"), sidecar, path)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(
            f"The tensors in {path.name} are of no layout that is known here: {error}"
        ) from error


def _built(
    values: dict[str, Any], architecture: str | None, sidecar: dict[str, Any], path: Path
) -> Checkpoint:
    raw, is_training = _unwrap(values)
    periods = raw.get("rope_embed.periods")
    state = _to_timm(raw)
    architecture = architecture or _recognise(state, path)
    model = _build(architecture, state, path)
    _match_rope(model, periods)
    return Checkpoint(
        model.eval().requires_grad_(False),
        architecture,
        _statistics(architecture, sidecar, is_training),
    )


def _read_state(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path.name} was refused: it holds something other than tensors, which "
            "could run code on this machine. Ask its maker for a .safetensors file."
        ) from error
    except Exception as error:
        raise WeightsError(
            f"Expected weights as .safetensors or a tensors-only .pth, but {path.name} "
            f"cannot be read: {error}"
        ) from error
    if not isinstance(state, dict):
        raise WeightsError(
            f"Expected named tensors in {path.name}, got a {type(state).__name__}."
        )
    return state


def _unwrap(state: dict[str, Any]) -> tuple[State, bool]:
    """The tensors under their model's own names; whether a training run wrote them."""
    is_training = "teacher" in state
    for wrapper in _WRAPPERS:
        inner = state.get(wrapper)
        if isinstance(inner, dict):
            state = inner
    for prefix in _PREFIXES:
        if any(key.startswith(prefix) for key in state):
            state = {
                key.removeprefix(prefix): value
                for key, value in state.items()
                if key.startswith(prefix)
            }
    return {
        key: value
        for key, value in state.items()
        if isinstance(value, torch.Tensor) and not _HEADS.search(key)
    }, is_training


def _to_timm(state: State) -> State:
    """Rename Meta's layout to timm's; split its bias and drop its training-only parts."""
    if "storage_tokens" not in state:
        return state
    renamed: State = {}
    for key, value in state.items():
        if _META_ONLY.search(key):
            continue
        for theirs, ours in _META_NAMES:
            key = key.replace(theirs, ours)
        if key.endswith("attn.qkv.bias"):
            query, _, values = value.nan_to_num().chunk(3)
            renamed[key.replace("qkv.bias", "q_bias")] = query
            renamed[key.replace("qkv.bias", "v_bias")] = values
        else:
            renamed[key] = value
    return _without_zero_biases(renamed)


def _without_zero_biases(state: State) -> State:
    """Timm keeps a variant with query and value biases; most releases have them zero."""
    biases = [key for key in state if key.endswith(("attn.q_bias", "attn.v_bias"))]
    if any(bool(state[key].any()) for key in biases):
        return state
    return {key: value for key, value in state.items() if key not in biases}


def _recognise(state: State, path: Path) -> str:
    """Timm's name of the architecture, from keys and shapes."""
    patch = state.get("patch_embed.proj.weight")
    if patch is None or patch.ndim != 4:
        if "stages.3.blocks.0.conv_dw.weight" in state:
            return _recognise_convnext(state, path)
        raise WeightsError(
            f"{path.name} holds no vision transformer that is known here (no "
            f"patch_embed.proj.weight). Name its timm architecture in {path.name}.json."
        )
    width, size = patch.shape[0], patch.shape[-1]
    if "pos_embed" not in state:
        return _recognise_dinov3(state, width, path)
    name = _VIT_SIZES.get(width)
    if "reg_token" in state:
        architecture = f"vit_{name}_patch{size}_reg4_dinov2"
    elif "blocks.0.ls1.gamma" in state:
        architecture = f"vit_{name}_patch{size}_dinov2"
    else:
        architecture = f"vit_{name}_patch{size}_224"
    return architecture


def _recognise_dinov3(state: State, width: int, path: Path) -> str:
    if "reg_token" not in state or width not in _DINOV3_SIZES:
        raise WeightsError(
            f"{path.name} holds a transformer {width} wide that is no known DINOv3 "
            f"size. Name its timm architecture in {path.name}.json."
        )
    name = _DINOV3_SIZES[width]
    if name == "small" and "blocks.0.mlp.fc1_g.weight" in state:
        name = "small_plus"
    suffix = "_qkvb" if "blocks.0.attn.q_bias" in state else ""
    return f"vit_{name}_patch16_dinov3{suffix}"


def _recognise_convnext(state: State, path: Path) -> str:
    width = state["stages.3.blocks.0.conv_dw.weight"].shape[0]
    depth = len({key.split(".")[3] for key in state if key.startswith("stages.2.blocks.")})
    for name, shape in {
        "tiny": (768, 9),
        "small": (768, 27),
        "base": (1024, 27),
        "large": (1536, 27),
    }.items():
        if (width, depth) == shape:
            return f"convnext_{name}"
    raise WeightsError(
        f"{path.name} holds a ConvNeXt of no known size (width {width}, depth {depth}). "
        f"Name its timm architecture in {path.name}.json."
    )


def _build(architecture: str, state: State, path: Path) -> torch.nn.Module:
    timm = import_timm()
    if not (_PLAIN_NAME.fullmatch(architecture) and timm.is_model(architecture)):
        raise WeightsError(
            f"Expected the name of an architecture that timm {timm.__version__} knows for "
            f"{path.name}, such as vit_base_patch16_dinov3; got {architecture!r}."
        )
    options: dict[str, Any] = {"num_classes": 0}
    if "pos_embed" in state:
        options |= _position_options(state)
    try:
        model: torch.nn.Module = timm.create_model(architecture, **options)
    except Exception as error:
        raise WeightsError(
            f"timm cannot build the architecture {architecture!r} for {path.name}: {error}"
        ) from error
    wanted = model.state_dict()
    missing = sorted(wanted.keys() - state.keys())
    surplus = sorted(state.keys() - wanted.keys())
    wrong = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in wanted.keys() & state.keys()
        if state[key].shape != wanted[key].shape
    ]
    if missing or surplus or wrong:
        first = (
            wrong
            or [f"{key} is missing" for key in missing]
            or [f"{key} is not part of it" for key in surplus]
        )[0]
        raise WeightsError(
            f"The weights in {path.name} do not fit {architecture}: {first} "
            f"({len(missing)} missing, {len(surplus)} unknown, {len(wrong)} of another "
            "shape)."
        )
    model.load_state_dict(state)
    return model


def _position_options(state: State) -> dict[str, Any]:
    """Options of a model whose position table has this many cells."""
    prefix = 1 if "cls_token" in state and "reg_token" not in state else 0
    cells = state["pos_embed"].shape[1] - prefix
    patch = state["patch_embed.proj.weight"].shape[-1]
    return {"img_size": round(cells**0.5) * patch, "dynamic_img_size": True}


def _match_rope(model: torch.nn.Module, periods: torch.Tensor | None) -> None:
    """Give DINOv3's rotary embedding the bfloat16 periods that it was trained with."""
    rope = getattr(model, "rope", None)
    own = getattr(rope, "periods", None)
    if isinstance(own, torch.Tensor):
        source = own if periods is None else periods
        own.copy_(source.to(torch.bfloat16).to(own.dtype))


def _statistics(
    architecture: str, sidecar: dict[str, Any], is_training: bool
) -> Statistics:
    if "mean" in sidecar:
        return Statistics(sidecar["mean"], sidecar["std"], sidecar.get("window"))
    if is_training:
        span = _HU.high - _HU.low
        mean, std = (_HU_MEAN - _HU.low) / span, _HU_STD / span
        return Statistics((mean,) * 3, (std,) * 3, _HU)
    config = import_timm().get_pretrained_cfg(architecture)
    if config is None:
        raise WeightsError(
            f"timm knows no input statistics for {architecture}; give mean and std in "
            "a JSON file beside the weights."
        )
    return Statistics(config.mean, config.std)


def _read_sidecar(path: Path) -> dict[str, Any]:
    sidecar = path.with_name(path.name + ".json")
    try:
        values = read_small_json(sidecar)
        return _checked(values)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise WeightsError(
            f"Expected architecture, mean, std and window in {sidecar.name}: {error}."
        ) from error


def _checked(values: Any) -> dict[str, Any]:
    """What a sidecar says, or ValueError or TypeError where that makes no sense."""
    if not isinstance(values, dict):
        raise TypeError("it holds no object")
    known: dict[str, Any] = {}
    if "architecture" in values:
        if not isinstance(values["architecture"], str):
            raise TypeError("architecture is no name")
        known["architecture"] = values["architecture"]
    if ("mean" in values) != ("std" in values):
        raise ValueError("mean and std go together")
    if "mean" in values:
        known |= {key: _numbers(values[key], 3) for key in ("mean", "std")}
        if min(known["std"]) <= 0:
            raise ValueError("std must be above 0")
    if "window" in values:
        low, high = _numbers(values["window"], 2)
        if low >= high:
            raise ValueError("window must rise")
        known["window"] = Window(low, high, "encoder")
    return known


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"expected {count} numbers, got {values!r}")
    numbers = tuple(float(value) for value in values)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"expected finite numbers, got {values!r}")
    return numbers


def import_timm() -> Any:
    """Timm, or what to install where torch and torchvision do not match.

    Raises
    ------
    WeightsError
        Where timm cannot be imported.
    """
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        raise WeightsError(
            f"timm cannot be imported: {error}. torch and torchvision must come from "
            "the same index: pip install --force-reinstall torch torchvision timm"
        ) from error
    return timm
