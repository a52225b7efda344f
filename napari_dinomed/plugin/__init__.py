"""The napari plugin: the only place that knows of napari and Qt."""

from napari_dinomed.plugin.panel import Panel

__all__ = ["Panel"]
