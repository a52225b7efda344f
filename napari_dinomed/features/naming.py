"""What an encoder is called: its weights, how fine it sees, how much of it is read.

``BASE@SIDExBLOCKS+ADAPTER``; all but the first may be left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from napari_dinomed.errors import WeightsError
from napari_dinomed.features.catalog import ADAPTER_SUFFIX, CATALOG, FILTERS

FILE = "file:"
# A finer side than that of a whole section only spreads pixels out; a coarser one shows
# an encoder a few tokens.
SIDES = range(64, 4097)
_MOST_BLOCKS = 64
_OWN_FILE = re.compile(r"(file:.+?\.(?:safetensors|pth|pt))((?:@[\dx]+)?)(?:\+(.+))?")
_FINENESS = re.compile(r"(.+)@(\d+)?(?:x(\d+))?")


@dataclass(frozen=True)
class EncoderName:
    """The parts of an encoder's name.

    Parameters
    ----------
    base
        A name of the catalogue, or ``file:PATH``; empty where an adapter is named alone.
    side
        Pixels of a slice's shorter side, where the name has them.
    blocks
        How many blocks make a token, where the name has them.
    adapter
        The adapter's file.
    """

    base: str
    side: int | None = None
    blocks: int | None = None
    adapter: Path | None = None

    @classmethod
    def parse(cls, name: str) -> EncoderName:
        """Take a name apart.

        Raises
        ------
        WeightsError
            Where side or blocks are none that an encoder has, or are those of an encoder
            without any, or of one whose adapter has its own; or the path is no text.
        """
        _require_text(name)
        seen, adapter = _parts(name)
        base, side, blocks = _with_fineness(seen, name)
        if not adapter:
            return cls(base, side, blocks)
        if side is not None or blocks is not None:
            raise WeightsError(
                f"Expected an adapter without a side, got {name}: an adapter has the side "
                "and the blocks that it was made with."
            )
        path = Path(adapter).expanduser()
        if path.suffix != ADAPTER_SUFFIX:
            path = path.with_name(path.name + ADAPTER_SUFFIX)
        return cls(base, adapter=path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The user's own files that it needs."""
        own = (
            [Path(self.base.removeprefix(FILE)).expanduser()]
            if self.base.startswith(FILE)
            else []
        )
        return (*own, self.adapter) if self.adapter is not None else tuple(own)

    @property
    def in_full(self) -> str:
        """As `parse` takes it, with folders."""
        return self._joined(self.base, "" if self.adapter is None else str(self.adapter))

    def __str__(self) -> str:
        """Without folders: a path is nobody's business but the user's."""
        base = self.base
        if base.startswith(FILE):
            base = Path(base).stem.removeprefix(FILE)
        return self._joined(base, "" if self.adapter is None else self.adapter.stem)

    def _joined(self, base: str, adapter: str) -> str:
        side = "" if self.side is None else str(self.side)
        fineness = side if self.blocks is None else f"{side}x{self.blocks}"
        seen = f"{base}@{fineness}" if fineness else base
        return "+".join(part for part in (seen, adapter) if part)


def known_as(name: str) -> str:
    """An encoder's name without folders."""
    return str(EncoderName.parse(name))


def _require_text(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise WeightsError(
            f"Expected a path in UTF-8, got {name!r}: no document could name it. Rename "
            "the file."
        ) from error


def _parts(name: str) -> tuple[str, str]:
    """What of a name stands for an encoder, and what for an adapter; each may be empty."""
    if name in CATALOG:
        return name, ""
    for known in sorted(CATALOG, key=len, reverse=True):
        own = re.fullmatch(rf"({re.escape(known)}(?:@[\dx]+)?)(?:\+(.+))?", name)
        if own is not None and CATALOG[known].repository:
            return own[1], own[2] or ""
    if (own := _OWN_FILE.fullmatch(name)) is not None:
        return own[1] + own[2], own[3] or ""
    if name.endswith(ADAPTER_SUFFIX):
        return "", name.removeprefix(FILE)
    return name, ""


def _with_fineness(seen: str, name: str) -> tuple[str, int | None, int | None]:
    """Base, side and blocks of what stands before an adapter."""
    found = _FINENESS.fullmatch(seen)
    if found is None or (not found[2] and not found[3]):
        return seen, None, None
    side, blocks = (int(part) if part else None for part in found.groups()[1:])
    if found[1] == FILTERS.name:
        raise WeightsError(
            f"Expected the filters without a side, got {name}: they see every voxel."
        )
    if side is not None and side not in SIDES:
        raise WeightsError(
            f"Expected a side of {SIDES[0]} to {SIDES[-1]} pixels, got {side} in {name}."
        )
    if blocks is not None and not 0 < blocks <= _MOST_BLOCKS:
        raise WeightsError(f"Expected at least one block, got {blocks} in {name}.")
    return found[1], side, blocks
