"""What encoders are called: weights, side and blocks, adapter."""

from __future__ import annotations

import pytest

from napari_dinomed.errors import WeightsError
from napari_dinomed.features.naming import EncoderName, known_as


@pytest.mark.parametrize(
    ("name", "base", "side", "blocks", "adapter"),
    [
        ("filters", "filters", None, None, None),
        ("dinov3-s+", "dinov3-s+", None, None, None),
        ("dinov3-s+mito", "dinov3-s", None, None, "mito.dinoadapt"),
        ("dinov3-s++mito", "dinov3-s+", None, None, "mito.dinoadapt"),
        ("dinov3-s+/a+b/mito.dinoadapt", "dinov3-s", None, None, "/a+b/mito.dinoadapt"),
        ("dinov3-s@512", "dinov3-s", 512, None, None),
        ("dinov3-s+@512x1", "dinov3-s+", 512, 1, None),
        ("dinov3-b@x2", "dinov3-b", None, 2, None),
        ("file:/a+b/w.pth", "file:/a+b/w.pth", None, None, None),
        ("file:/a@5/w.pth@256", "file:/a@5/w.pth", 256, None, None),
        ("file:/a+b/w.pth+/c+d/m", "file:/a+b/w.pth", None, None, "/c+d/m.dinoadapt"),
        ("/x/mito.dinoadapt", "", None, None, "/x/mito.dinoadapt"),
        ("file:/x/mito.dinoadapt", "", None, None, "/x/mito.dinoadapt"),
        ("unknown", "unknown", None, None, None),
        ("filters+mito", "filters+mito", None, None, None),
    ],
)
def test_a_name_has_parts(name, base, side, blocks, adapter):
    found = EncoderName.parse(name)
    assert (found.base, found.side, found.blocks) == (base, side, blocks)
    assert (found.adapter and found.adapter.as_posix()) == adapter


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dinov3-s@8", "side of 64 to 4096 pixels, got 8"),
        ("dinov3-s@256x0", "at least one block"),
        ("dinov3-s@512+mito", "adapter has the side"),
        ("filters@512", "without a side"),
    ],
)
def test_a_name_that_nothing_has(name, said):
    with pytest.raises(WeightsError, match=said):
        EncoderName.parse(name)


def test_what_users_see_of_a_name_has_no_folder():
    assert known_as("file:/home/ann/vit.fp16.safetensors+/x/mito.dinoadapt") == (
        "vit.fp16+mito"
    )
    assert known_as("dinov3-s++mito") == "dinov3-s++mito"
    assert known_as("dinov3-s+/home/ann+bob/mito") == "dinov3-s+mito"
    assert known_as("file:/home/ann+bob/vit.pth") == "vit"
    assert known_as("file:/home/ann/vit.pth@512x2") == "vit@512x2"


def test_the_files_that_a_name_needs_are_known():
    name = EncoderName.parse("file:/a/w.pth+/b/mito")
    assert [path.name for path in name.files] == ["w.pth", "mito.dinoadapt"]
    assert EncoderName.parse("dinov3-s@512").files == ()
