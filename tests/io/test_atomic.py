"""Nothing that was there is lost: not by failures, not by kills at any moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from napari_dinomed.errors import WriteError
from napari_dinomed.io import Source, atomic, can_read, read_volume
from napari_dinomed.io.atomic import recover, replacing, replacing_folder, write_text
from tests.io import made

posix = pytest.mark.skipif(os.name == "nt", reason="modes, links and forks of POSIX")
DEAD = "2147483646"

# Forks a child for each step; each is killed in front of its step, or right behind it.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from napari_dinomed.io.atomic import replacing, replacing_folder

kind, root, behind = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "behind"

def write(place):
    if kind == "file":
        with replacing(place) as temporary:
            temporary.write_text("new" * 1000)
    else:
        with replacing_folder(place) as temporary:
            temporary.mkdir()
            (temporary / "a").write_text("new")
            (temporary / "b").write_text("new")

def child(step):
    left = [step]
    def counted(call):
        def wrapped(*args, **options):
            left[0] -= 1
            if left[0] == 0 and not behind:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*args, **options)
            finally:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        return wrapped
    for name in ("mkdir", "open", "fsync", "replace", "chmod", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    write(root / str(step) / "place")
    os._exit(0)

killed = 0
for step in range(1, 200):
    folder = root / str(step)
    folder.mkdir()
    if sys.argv[4] == "replace":
        if kind == "file":
            (folder / "place").write_text("old")
        else:
            (folder / "place").mkdir()
            (folder / "place" / "a").write_text("old")
    pid = os.fork()
    if pid == 0:
        child(step)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        assert status == 0, status
        break
    killed = step
print(json.dumps(killed))
"""


def _content(place):
    if place.is_dir():
        return {path.name: path.read_text() for path in sorted(place.iterdir())}
    return place.read_text() if place.exists() else None


@posix
@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("there", ["replace", "first"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_at_every_step(tmp_path, kind, there, when):
    command = [sys.executable, "-c", KILLED, kind, str(tmp_path), when, there]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    steps = json.loads(done.stdout)
    assert steps >= (6 if kind == "file" else 10)
    whole = (
        ("new" * 1000, "old" if there == "replace" else None)
        if kind == "file"
        else ({"a": "new", "b": "new"}, {"a": "old"} if there == "replace" else None)
    )
    found = []
    for step in range(1, steps + 1):
        place = tmp_path / str(step) / "place"
        if there == "replace":
            # As every reading begins.
            Source.of(place)
        found.append(_content(place))
        assert found[-1] in whole, step
        write_text(place.with_name("beside"), "next")
        assert _content(place) == found[-1]
        assert {p.name for p in place.parent.iterdir()} <= {"place", "beside"}, step
    assert {str(each) for each in found} == {str(each) for each in whole}


def _dead_room(folder, host=None, pid=DEAD):
    room = folder / f".dinomed-{host or atomic._host()}-{pid}-1-0123abcd"
    room.mkdir()
    (room / "lock").touch()
    return room


def test_an_exchange_that_was_cut_short_is_finished_by_the_next_reader(tmp_path):
    store = made.write_zarr(tmp_path / "old.zarr", np.zeros((2, 70, 70), np.uint8))
    room = _dead_room(tmp_path)
    store.rename(room / "old")
    made.write_zarr(room / "new", np.ones((2, 70, 70), np.uint8))
    (room / "journal").write_text("image.zarr")
    assert read_volume(tmp_path / "image.zarr").array.max() == 1
    assert [p.name for p in tmp_path.iterdir()] == ["image.zarr"]


def test_an_exchange_without_the_new_one_is_rolled_back(tmp_path):
    room = _dead_room(tmp_path)
    made.write_zarr(room / "old", np.full((2, 70, 70), 7, np.uint8))
    (room / "journal").write_text("image.zarr")
    made.write_nifti(tmp_path / "a.nii", np.ones((2, 3, 4), np.uint8), np.eye(4))
    # A reading beside it.
    read_volume(tmp_path / "a.nii")
    assert read_volume(tmp_path / "image.zarr").array.max() == 7


def test_what_came_between_stays_and_so_does_the_rest(tmp_path):
    room = _dead_room(tmp_path)
    for name in ("old", "new"):
        (room / name).mkdir()
        (room / name / "a").write_text(name)
    (tmp_path / "place").mkdir()
    (room / "journal").write_text("place")
    write_text(tmp_path / "beside", "next")
    assert (room / "old" / "a").read_text() == "old"
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "../outside", "a/b", "/etc"])
def test_a_journal_may_not_point_elsewhere(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    room = _dead_room(folder)
    (room / "old").mkdir()
    (room / "journal").write_text(name)
    write_text(folder / "beside", "next")
    assert (room / "old").is_dir()
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_the_living_are_left_alone(tmp_path):
    """This process in another thread, another process, another machine."""
    inside, go_on = threading.Event(), threading.Event()

    def slow():
        with replacing(tmp_path / "slow") as temporary:
            temporary.write_text("slow")
            inside.set()
            go_on.wait(20)

    thread = threading.Thread(target=slow)
    thread.start()
    inside.wait(20)
    own = [p.name for p in tmp_path.iterdir()]
    with subprocess.Popen(
        [sys.executable, "-c", f"{WAITING}\nwait({str(tmp_path)!r})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        child.stdout.readline()
        elsewhere = _dead_room(tmp_path, host="ffffffff")
        before = {p.name for p in tmp_path.iterdir()}
        assert len(before) == 3
        write_text(tmp_path / "next", "next")
        assert before <= {p.name for p in tmp_path.iterdir()}
        child.stdin.close()
        assert child.wait(20) == 0
    go_on.set()
    thread.join(20)
    assert (tmp_path / "slow").read_text() == "slow"
    assert (tmp_path / "child").read_text() == "child"
    assert own[0] not in {p.name for p in tmp_path.iterdir()}
    assert elsewhere.exists()


WAITING = """
import sys
from pathlib import Path
from napari_dinomed.io.atomic import replacing
def wait(folder):
    with replacing(Path(folder) / "child") as temporary:
        temporary.write_text("child")
        print("inside", flush=True)
        sys.stdin.read()
"""


@posix
def test_a_lock_that_is_held_keeps_a_room_whoever_it_is_of(tmp_path):
    """Processes of other containers have numbers that are not known here."""
    import fcntl

    room = _dead_room(tmp_path)
    with (room / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_text(tmp_path / "next", "next")
        assert room.exists()
    write_text(tmp_path / "next", "next")
    assert not room.exists()


@posix
def test_rooms_of_other_machines_go_after_a_day(tmp_path):
    room = _dead_room(tmp_path, host="ffffffff")
    os.utime(room, (time.time() - 90_000,) * 2)
    write_text(tmp_path / "next", "next")
    assert not room.exists()


@posix
def test_links_are_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "file"
    target.write_text("old")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "new").symlink_to(tmp_path / "there" / "not yet")
    write_text(tmp_path / "link", "new")
    write_text(tmp_path / "new", "first")
    assert (tmp_path / "link").is_symlink()
    assert target.read_text() == "new"
    assert (tmp_path / "there" / "not yet").read_text() == "first"
    (tmp_path / "there" / "folder").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "there" / "folder")
    with replacing_folder(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "a").touch()
    assert (tmp_path / "folder").is_symlink()
    assert (tmp_path / "there" / "folder" / "a").exists()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(WriteError, match="loop"):
        write_text(tmp_path / "loop", "x")


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_what_is_replaced_is_kept(tmp_path, mode):
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(mode)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o700)
    with replacing_folder(tmp_path / "folder") as temporary:
        temporary.mkdir()
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700


@posix
def test_a_new_file_honours_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "new")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@posix
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root may write all")
def test_a_protected_file_stays(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o444)
    with pytest.raises(WriteError, match="protected"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_all_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace

    def synced(file):
        calls.append(("sync", os.fstat(file if isinstance(file, int) else file.fileno())))
        sync(file)

    def replaced(source, target):
        calls.append(("replace", os.stat(source)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    (tmp_path / "folder").mkdir()
    with replacing_folder(tmp_path / "folder") as temporary:
        (temporary / "deep").mkdir(parents=True)
        (temporary / "deep" / "a").write_text("a")
    write_text(tmp_path / "file", "a")
    first = [kind for kind, _ in calls].index("replace")
    synced_before = {about.st_ino for _, about in calls[:first]}
    for path in ("folder", "folder/deep", "folder/deep/a"):
        assert (tmp_path / path).stat().st_ino in synced_before, path
    *_, (_, file), (kind, moved), (last, folder) = calls
    assert (kind, last) == ("replace", "sync")
    assert file.st_ino == moved.st_ino == (tmp_path / "file").stat().st_ino
    assert folder.st_ino == tmp_path.stat().st_ino


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failing_exchange_leaves_the_old_folder(tmp_path, monkeypatch, failing):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    replace, count = os.replace, []

    def fails(source, target):
        count.append(source)
        if len(count) == failing:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with (
        pytest.raises(WriteError, match="Input"),
        replacing_folder(tmp_path / "folder") as temporary,
    ):
        temporary.mkdir()
    assert _content(tmp_path / "folder") == {"a": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_what_cannot_be_put_back_is_kept_until_it_can(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    replace = os.replace

    def once(source, target):
        monkeypatch.setattr(os, "replace", never)
        replace(source, target)

    def never(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", once)
    with pytest.raises(WriteError), replacing_folder(tmp_path / "folder") as temporary:
        temporary.mkdir()
    monkeypatch.setattr(os, "replace", replace)
    assert not (tmp_path / "folder").exists()
    recover(tmp_path)
    assert (tmp_path / "folder").exists()


def test_what_comes_between_the_moves_costs_nothing(tmp_path, monkeypatch):
    """Another program makes a folder in the moment in which none is there."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    replace = os.replace

    def between(source, target):
        replace(source, target)
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "a").write_text("of others")
        monkeypatch.setattr(os, "replace", replace)

    monkeypatch.setattr(os, "replace", between)
    with pytest.raises(WriteError), replacing_folder(tmp_path / "folder") as temporary:
        temporary.mkdir()
    write_text(tmp_path / "next", "next")
    assert _content(tmp_path / "folder") == {"a": "of others"}
    (room,) = (p for p in tmp_path.iterdir() if p.name.startswith("."))
    assert _content(room / "old") == {"a": "old"}


def test_a_folder_is_not_replaced_by_a_file_nor_a_file_by_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    with pytest.raises(WriteError, match="folder"):
        write_text(tmp_path / "folder", "new")
    with (
        pytest.raises(WriteError, match="file"),
        replacing_folder(tmp_path / "file") as new,
    ):
        new.mkdir()
    assert (tmp_path / "file").read_text() == "old"


def test_leftovers_are_no_volumes(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    matrix = np.array([[0, 0, -1.0, 0], [0, -1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]])
    empty = tmp_path / "empty"
    empty.mkdir()
    made.write_dicom(_dead_room(empty), array, matrix)
    assert not can_read(empty)
    series = made.write_dicom(tmp_path / "series", array, matrix)
    left = _dead_room(series)
    made.dicom_slice(array, matrix, 0, SeriesInstanceUID="1.2.3").save_as(
        left / "left.dcm", enforce_file_format=True
    )
    assert read_volume(series).array.shape == array.shape
    store = made.write_zarr(tmp_path / "image.zarr", array)
    made.write_zarr(_dead_room(store) / "new", array[:2])
    assert read_volume(store).array.shape == array.shape
    bare = tmp_path / "bare.zarr"
    made.write_zarr(bare / "raw", array)
    import zarr

    zarr.open_group(bare, mode="a")
    made.write_zarr(_dead_room(bare) / "new", array[:2])
    assert read_volume(bare).geometry.shape == array.shape


def test_settings_are_stored_as_safely(home, monkeypatch):
    from napari_dinomed.settings import Settings, load_settings, save_settings

    save_settings(Settings(cache_limit=1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError, match="No space"):
        save_settings(Settings(cache_limit=2))
    assert load_settings().cache_limit == 1
    assert [p.name for p in home.iterdir()] == ["settings.json"]
