"""What a DICOM file becomes when it is inflated or decoded, checked before either is done.

In: a file as it lies there, or its dataset. Out: one error where it would become far more
than its memory has room for, or its header says.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import psutil

from napari_dinomed.errors import ReadError
from napari_dinomed.io.claims import DEFLATED, counted

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

# A preamble, four letters, and the element that says how long the file's own header is
# (DICOM PS3.10, 7.1).
_LETTERS, _LENGTH, _BEGIN = slice(128, 132), slice(140, 144), 144
_DEFLATED_SYNTAX = b"1.2.840.10008.1.2.1.99"
# The inflated file, its pixels, and what is made of them.
_COPIES = 4
_JPEG_2000 = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")
# Start of a codestream and of its sizes (ISO/IEC 15444-1, A.4.1 and A.5.1).
_CODESTREAM = b"\xff\x4f\xff\x51"
_WIDTH, _HEIGHT, _LEFT, _TOP = (slice(at, at + 4) for at in (8, 12, 16, 20))
_COMPONENTS = slice(40, 42)
_MOST_FRAMES = 100_000
# Of a compressed frame: the tag and length of its item (DICOM PS3.5, A.4).
_LEAST_FRAME = 8


def require_inflatable(path: Path) -> None:
    """Raise `ReadError` where a deflated file becomes more than there is memory for."""
    with path.open("rb") as file:
        head = file.read(_BEGIN)
        length = int.from_bytes(head[_LENGTH], "little")
        if head[_LETTERS] != b"DICM" or length > path.stat().st_size:
            return
        if _DEFLATED_SYNTAX not in file.read(length):
            return
        packed = file.read()
    most = psutil.virtual_memory().available // _COPIES
    if len(packed) * DEFLATED > most:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        if counted(inflater, packed, most) > most:
            raise ReadError(
                f"{path.name} has {len(packed)} bytes, but would inflate to more than "
                f"{most / 1e9:.3g} GB. It was not opened."
            )


def require_decodable(dataset: Dataset, name: str) -> None:
    """Raise `ReadError` where a frame of JPEG 2000 is larger than the header says."""
    from pydicom.encaps import generate_frames

    if not str(dataset.file_meta.TransferSyntaxUID).startswith(_JPEG_2000):
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    count = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(dataset.PixelData, number_of_frames=count):
        wide, high, components = _codestream_size(frame)
        if wide * high * components > rows * columns:
            raise ReadError(
                f"{name} claims frames of {rows} × {columns} pixels, but holds one of "
                f"{high} × {wide}, {components} to a pixel. It was not opened; export it "
                "again."
            )


def _codestream_size(frame: bytes) -> tuple[int, int, int]:
    """Width, height and components that a codestream claims; zeros where none is found."""
    begin = frame.find(_CODESTREAM)
    if begin < 0:
        return 0, 0, 0
    head = frame[begin : begin + _COMPONENTS.stop]
    wide, high, left, top = (
        int.from_bytes(head[part], "big") for part in (_WIDTH, _HEIGHT, _LEFT, _TOP)
    )
    return wide - left, high - top, int.from_bytes(head[_COMPONENTS], "big")


def require_frames(path: Path, dataset: Dataset, count: int) -> None:
    """Raise `ReadError` where a file claims more frames than it can hold."""
    if count == 1:
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or not (syntax.is_compressed or syntax.is_deflated):
        least = rows * columns * int(dataset.get("BitsAllocated") or 1) // 8
    else:
        least = _LEAST_FRAME
    stored = path.stat().st_size
    if count > _MOST_FRAMES or count * least > stored:
        raise ReadError(
            f"{path.name} claims {count} frames of {rows} × {columns} pixels, but has only "
            f"{stored} bytes; expected at most {_MOST_FRAMES} frames, all of them in the "
            "file. It is truncated or its header is wrong; export it again."
        )
