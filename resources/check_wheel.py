"""Check what a built wheel holds: manifest, package, the network, and nothing else."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path


def main(folder: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    metadata = f"{wheel.name.split('-py3')[0]}.dist-info"
    needed = ("napari.yaml", "py.typed", "segment/one_object/network.safetensors")
    missing = {f"napari_dinomed/{name}" for name in needed} - set(names)
    surplus = tops - {"napari_dinomed", metadata}
    if missing or surplus:
        sys.exit(f"{wheel.name}: missing {sorted(missing)}, surplus {sorted(surplus)}")
    print(f"{wheel.name}: {len(names)} files, manifest in it, tests not")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
