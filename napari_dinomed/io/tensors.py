"""Files of numbers that say what they are: safetensors with JSON in the header.

Nothing in them is executed. Taught models, labels of whole volumes and adapters of
encoders are kept so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from napari_dinomed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Header = TypeVar("Header")
Library = Literal["np", "pt"]

# More come from damage: a model of this program takes some ten megabytes.
_MOST_BYTES = 2**30
_ANEW = " Copy it anew, or make it again."


@dataclass(frozen=True)
class Form:
    """What an array in a file has to be.

    Parameters
    ----------
    kind
        Its type, as NumPy and torch call it: ``float32``.
    shape
        Its lengths. One that is a name may be any from 1 on, the same wherever it is named.
    """

    kind: str
    shape: tuple[int | str, ...]


def require_forms(arrays: Mapping[str, Any], forms: Mapping[str, Form], file: str) -> None:
    """See that arrays of NumPy or torch are what they have to be; others do not matter.

    Parameters
    ----------
    arrays, forms
        By name.
    file
        Name of the file that they came in.

    Raises
    ------
    ModelError
        Where one is missing or another, holds what is no number, or lengths differ that
        should not.
    """
    lengths: dict[str, int] = {}
    for name, form in forms.items():
        array = arrays.get(name)
        if array is None:
            raise ModelError(f"{file} is damaged: '{name}' is missing.{_ANEW}")
        shape, kind = tuple(array.shape), str(array.dtype).removeprefix("torch.")
        expected = _learn_lengths(lengths, form.shape, shape)
        if kind != form.kind or shape != expected:
            raise ModelError(
                f"{file} is damaged: its parts do not go together. Expected '{name}' as "
                f"{form.kind} of {_said(expected)}, got {kind} of {_said(shape)}.{_ANEW}"
            )
        if kind.startswith("float") and not (abs(array) < float("inf")).all():
            raise ModelError(f"{file} is damaged: '{name}' holds what is no number.{_ANEW}")


def _learn_lengths(
    lengths: dict[str, int], form: tuple[int | str, ...], shape: tuple[int, ...]
) -> tuple[int | str, ...]:
    """A shape in which names are lengths: those that are known, or the array's own."""
    if len(form) == len(shape):
        for name, own in zip(form, shape, strict=True):
            if isinstance(name, str) and own:
                lengths.setdefault(name, own)
    return tuple(lengths.get(one, one) if isinstance(one, str) else one for one in form)


def _said(shape: tuple[int | str, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"


@dataclass(frozen=True)
class Kind(Generic[Header]):
    """One kind of such files.

    Parameters
    ----------
    key
        Where in the file's metadata the header is.
    header
        What it holds.
    what, command
        What a user calls it, and the command that writes it.
    """

    key: str
    header: TypeAdapter[Header]
    what: str
    command: str

    def metadata(self, header: Header) -> dict[str, str]:
        """The header as a file keeps it."""
        return {self.key: self.header.dump_json(header).decode()}

    def read(self, path: Path) -> Header:
        """The header alone; errors as `read_all`."""
        header, _ = self._read(path, "np", with_tensors=False)
        return header

    def read_all(self, path: Path, library: Library) -> tuple[Header, dict[str, Any]]:
        """The header, and the numbers as arrays of NumPy or torch, by name.

        Raises
        ------
        ModelError
            Where the file is missing, is of another kind, damaged, or of a later version.
        """
        return self._read(path, library, with_tensors=True)

    def _read(
        self, path: Path, library: Library, with_tensors: bool
    ) -> tuple[Header, dict[str, Any]]:
        try:
            if not path.is_file():
                raise ModelError(f"There is no {self.what} {path}.")
            if path.stat().st_size > _MOST_BYTES:
                raise ModelError(f"{path.name} is too large to be a {self.what}.")
            with safe_open(path, framework=library) as file:
                header = self.header.validate_json(
                    (file.metadata() or {}).get(self.key, "")
                )
                names = file.keys() if with_tensors else []
                return header, {name: file.get_tensor(name) for name in names}
        except (SafetensorError, ValidationError, OSError) as error:
            raise ModelError(
                f"Expected a {self.what} written by 'napari-dinomed {self.command}', but "
                f"{path.name} cannot be read as one: it is another file, damaged, or of a "
                "later version."
            ) from error
