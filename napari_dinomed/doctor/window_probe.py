"""Can Qt and OpenGL begin here: tried in a process of its own, which may crash.

``python -m napari_dinomed.doctor.window_probe`` prints what it found as a line of JSON.
"""

from __future__ import annotations

import json
import platform


def main() -> None:
    """Begin Qt, and a context of OpenGL that draws nowhere."""
    from qtpy import API_NAME, QT_VERSION
    from qtpy.QtGui import QOffscreenSurface, QOpenGLContext
    from qtpy.QtWidgets import QApplication

    app = QApplication([])
    facts = {
        "qt": f"{API_NAME} {QT_VERSION} on {app.platformName()}",
        "python": platform.python_version(),
    }
    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    if context.create() and context.makeCurrent(surface):
        from OpenGL import GL

        facts["gl"] = GL.glGetString(GL.GL_VERSION).decode()
        facts["renderer"] = GL.glGetString(GL.GL_RENDERER).decode()
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
