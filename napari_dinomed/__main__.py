"""``python -m napari_dinomed``: the command line."""

from napari_dinomed.cli import main

if __name__ == "__main__":
    main()
