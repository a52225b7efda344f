"""Set up and run, with nothing but Python: ``demo`` shows the main job, ``test`` all tests.

``python3 resources/run.py demo`` makes a virtual environment in ``.venv``, installs the
plugin with a Qt, and runs ``napari-dinomed demo``. ``python3 resources/run.py test`` runs
tox there. Where this is root on Debian or Ubuntu, the system libraries that Qt and a
virtual display need are installed too; elsewhere the one line to run is printed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
QT_LIBRARIES = [
    "libdbus-1-3",
    "libegl1",
    "libfontconfig1",
    "libgl1",
    "libgl1-mesa-dri",
    "libglib2.0-0",
    "libxcb-cursor0",
    "libxcb-icccm4",
    "libxcb-image0",
    "libxcb-keysyms1",
    "libxcb-randr0",
    "libxcb-render-util0",
    "libxcb-render0",
    "libxcb-shape0",
    "libxcb-sync1",
    "libxcb-xfixes0",
    "libxcb-xinerama0",
    "libxcb-xkb1",
    "libxkbcommon-x11-0",
    "libxkbcommon0",
]
VIRTUAL_DISPLAY = ["xvfb", "xauth", "fonts-dejavu-core"]
VENV_PACKAGE = [f"python3.{sys.version_info.minor}-venv"]


def call(*command: str | Path) -> None:
    print("+", *command, flush=True)
    status = subprocess.call([str(part) for part in command], cwd=ROOT)
    if status:
        sys.exit(status)


def has_package(name: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${Status}", name]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return "install ok installed" in done.stdout


def need_system(packages: list[str]) -> None:
    """Have Debian packages: install them as root, else name the line that does."""
    if platform.system() != "Linux" or shutil.which("dpkg-query") is None:
        return
    missing = [name for name in packages if not has_package(name)]
    if not missing:
        return
    if os.geteuid() != 0:
        print("If something is missing below, run: sudo apt-get install", *missing)
        return
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    call("apt-get", "update", "-qq")
    call("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def make_environment() -> Path:
    """The virtual environment's Python."""
    python = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
    if not python.exists():
        if importlib.util.find_spec("ensurepip") is None:
            need_system(VENV_PACKAGE)
        call(sys.executable, "-m", "venv", VENV)
    return python


def demo(arguments: list[str]) -> None:
    need_system(QT_LIBRARIES)
    python = make_environment()
    call(python, "-m", "pip", "install", "--quiet", "--editable", ".[all]")
    call(SCRIPTS / "napari-dinomed", "demo", *arguments)


def test(arguments: list[str]) -> None:
    need_system([*QT_LIBRARIES, *VIRTUAL_DISPLAY])
    python = make_environment()
    call(python, "-m", "pip", "install", "--quiet", "tox>=4.25")
    environments = f"py3{sys.version_info.minor},lint,package"
    tox = [python, "-m", "tox", "run", "-e", environments, *arguments]
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if platform.system() == "Linux" and not has_display and shutil.which("xvfb-run"):
        screen = "-screen 0 1600x1000x24 +extension GLX"
        call("xvfb-run", "--auto-servernum", "--server-args", screen, *tox)
    else:
        call(*tox)


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - run before anything is installed
        sys.exit(f"Expected Python 3.11 or newer, got {platform.python_version()}.")
    commands = {"demo": demo, "test": test}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit("Usage: python3 resources/run.py demo|test [arguments]")
    commands[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
