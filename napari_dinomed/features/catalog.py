"""The encoders that can be chosen by name, how fine they see, how much of them is read."""

from __future__ import annotations

from napari_dinomed.errors import WeightsError
from napari_dinomed.features.encoder import EncoderSpec

DINOV3_LICENCE = "DINOv3 License"
EUPE_LICENCE = "FAIR Noncommercial Research License"
# Of files that change one of these encoders, or one of the user's own.
ADAPTER_SUFFIX = ".dinoadapt"

LICENCE_NOTICES = {
    DINOV3_LICENCE: (
        "These weights were made by Meta and are under the DINOv3 License.\n"
        "It lets you use, copy, change and pass them on, also in commercial work, as "
        "long as you pass on a copy of the licence with them, acknowledge DINOv3 in "
        "publications, and keep them out of military, weapons, nuclear and "
        "export-controlled uses. Full text: "
        "https://ai.meta.com/resources/models-and-libraries/dinov3-license/"
    ),
    EUPE_LICENCE: (
        "These weights were made by Meta and are under the FAIR Noncommercial Research "
        "License: for research that is not commercial, and not for patient care. The "
        "full text is beside the weights in their repository."
    ),
}

FILTERS = EncoderSpec(
    name="filters",
    title="3-D filters (built in, no weights)",
    channels=20,
    stride=2,
)


def _vit(name: str, size: str, channels: int, parameters: float) -> EncoderSpec:
    architecture = f"vit_{size}_patch16_dinov3"
    return EncoderSpec(
        name=name,
        title=f"DINOv3 ViT-{name.removeprefix('dinov3-').upper()}/16",
        architecture=architecture,
        channels=4 * channels,
        parameters=parameters,
        licence=DINOV3_LICENCE,
        repository=f"timm/{architecture}.lvd1689m",
    )


def _convnext(letter: str, size: str, channels: int, parameters: float) -> EncoderSpec:
    return EncoderSpec(
        name=f"dinov3-convnext-{letter}",
        title=f"DINOv3 ConvNeXt-{letter.upper()}",
        architecture=f"convnext_{size}",
        channels=channels,
        parameters=parameters,
        licence=DINOV3_LICENCE,
        repository=f"timm/convnext_{size}.dinov3_lvd1689m",
        blocks=2,
    )


CATALOG: dict[str, EncoderSpec] = {
    spec.name: spec
    for spec in (
        FILTERS,
        _vit("dinov3-s", "small", 384, 21),
        _vit("dinov3-s+", "small_plus", 384, 29),
        _vit("dinov3-b", "base", 768, 86),
        _vit("dinov3-l", "large", 1024, 300),
        _vit("dinov3-h+", "huge_plus", 1280, 840),
        _vit("dinov3-7b", "7b", 4096, 6716),
        _convnext("t", "tiny", 384 + 768, 29),
        _convnext("s", "small", 384 + 768, 50),
        _convnext("b", "base", 512 + 1024, 89),
        _convnext("l", "large", 768 + 1536, 198),
        EncoderSpec(
            name="eupe-t",
            title="EUPE ViT-T/16",
            architecture="vit_tiny_patch16_dinov3_qkvb",
            channels=4 * 192,
            parameters=5.5,
            licence=EUPE_LICENCE,
            repository="timm/vit_tiny_patch16_dinov3_qkvb.eupe_lvd1689m",
        ),
    )
}


def find_spec(name: str) -> EncoderSpec:
    """The catalogue's entry for ``name``.

    Raises
    ------
    WeightsError
        Where there is none.
    """
    if name not in CATALOG:
        raise WeightsError(
            f"Expected an encoder out of {', '.join(CATALOG)}, or file:PATH; got {name!r}."
        )
    return CATALOG[name]
