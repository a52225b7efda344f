"""Click-to-3D segmentation of medical and microscopy volumes in napari."""

from importlib.metadata import version

__version__ = version("napari-dinomed")
