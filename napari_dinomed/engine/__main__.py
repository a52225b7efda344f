"""``python -m napari_dinomed.engine``: serve one client on standard input and output."""

from napari_dinomed.engine.ending import end_with_client

if __name__ == "__main__":
    end_with_client()
    from napari_dinomed.engine.server import main

    main()
