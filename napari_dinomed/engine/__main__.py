"""``python -m napari_dinomed.engine``: serve one client on standard input and output."""

from napari_dinomed.engine.server import main

if __name__ == "__main__":
    main()
