"""Check what a built wheel holds: the manifest and the package, and nothing else."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path


def main(folder: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    metadata = f"{wheel.name.split('-py3')[0]}.dist-info"
    missing = {"napari_dinomed/napari.yaml", "napari_dinomed/py.typed"} - set(names)
    surplus = tops - {"napari_dinomed", metadata}
    if missing or surplus:
        sys.exit(f"{wheel.name}: missing {sorted(missing)}, surplus {sorted(surplus)}")
    print(f"{wheel.name}: {len(names)} files, manifest in it, tests not")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
