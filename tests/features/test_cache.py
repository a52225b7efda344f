"""What can happen to a cache: other programs, full disks, damage, malice, the clock."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_dinomed import settings
from napari_dinomed.engine.engine import Engine
from napari_dinomed.engine.messages import EncodeVolume, Notice, open_request
from napari_dinomed.features.cache import clear, evict, features_folder, list_entries
from napari_dinomed.features.store import FeatureStore
from napari_dinomed.volume import choose_window

SHAPE = (4, 3, 5, 6)
TOKENS = np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)
CHUNK = Path("tokens", "c", "2", "0", "0", "0")


def _store(signature="abc", shape=SHAPE, said=None):
    said = [] if said is None else said
    return FeatureStore.for_signature(signature, shape, "filters", said.append)


def _written(signature="abc"):
    store = _store(signature)
    store.write(0, TOKENS)
    return store


def _is_whole(store):
    return all(np.array_equal(store.read(index), TOKENS[index]) for index in range(4))


def _names():
    return {entry.folder.name for entry in list_entries()}


# Room


def test_the_least_recently_used_go_first():
    for number, signature in enumerate(("old", "new")):
        os.utime(_written(signature).folder, (number, number))
    taken = sum(entry.size for entry in list_entries())
    settings.save_settings(settings.Settings(cache_limit=taken + TOKENS.nbytes - 1))
    _written("third")
    assert _names() == {"new", "third"}


def test_what_is_larger_than_the_cache_may_be_is_not_kept():
    small = _written("small")
    limit = list_entries()[0].size
    settings.save_settings(settings.Settings(cache_limit=limit))
    large, said = (40, *SHAPE[1:]), []
    store = _store("large", large, said)
    store.write(0, TOKENS)
    assert store.read(0) is None
    assert not said
    assert _names() == {small.folder.name}


def test_clearing_frees_everything():
    _written()
    assert clear() >= TOKENS.nbytes
    assert list_entries() == []


def test_features_in_use_are_the_last_to_go():
    used = _written("used")
    _written("idle")
    used.write(0, TOKENS)
    evict(list_entries()[0].size)
    assert _names() == {"used"}


def test_a_clock_that_went_back_does_not_make_new_features_the_oldest(monkeypatch):
    _written("before")
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    _written("after")
    assert [entry.folder.name for entry in list_entries()] == ["before", "after"]


# Disks that fail


def _cannot_be_written(folder):
    """Root may write anywhere: a file in the way of the folders of chunks stops it, too."""
    shutil.rmtree(folder / "tokens" / "c", ignore_errors=True)
    (folder / "tokens" / "c").write_text("in the way")


def test_a_full_disk_stops_keeping_and_says_so_once():
    resource = pytest.importorskip("resource")
    said = []
    store = _store(said=said)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        store.write(0, TOKENS)
        store.write(1, TOKENS[1:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(said) == 1
    assert "cannot be written: File too large" in said[0]
    assert store.read(0) is None
    assert _is_whole(_written())


def test_features_are_read_where_they_cannot_be_written(monkeypatch):
    _written()

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    said = []
    assert _is_whole(_store(said=said))
    assert said == []


@pytest.mark.parametrize("how", ["a file in the way", "no new folders"])
def test_a_cache_that_cannot_be_written_stops_no_one(home, ball_volume, how, monkeypatch):
    """Two volumes, three planes each: features are there, and it is said once."""
    if how == "a file in the way":
        (home / "cache").write_text("")
    else:
        monkeypatch.setattr(Path, "mkdir", _refuse)
    engine, heard = Engine(), []
    volume, _ = ball_volume
    for name in ("one", "two"):
        engine.run(open_request(name, volume))
        request = EncodeVolume(name, "filters", choose_window(volume))
        assert engine.run(request, heard.append).computed == volume.array.shape[0]
        assert engine.banks(name)[0].ready.all()
    said = [event.text for event in heard if isinstance(event, Notice)]
    assert len(said) == 1
    assert "stay in memory" in said[0]


def _refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


# Other programs


def test_features_that_were_evicted_meanwhile_are_kept_again():
    store = _written()
    shutil.rmtree(store.folder)
    assert store.read(0) is None
    store.write(0, TOKENS)
    assert _is_whole(_store())
    assert _names() == {"abc"}


def test_an_entry_that_goes_while_it_is_looked_at(monkeypatch):
    """Each look at an entry is the last before another program deletes it."""
    folders = [_written(f"entry-{number}").folder for number in range(6)]
    lstat, calls = Path.lstat, []

    def and_gone(path, *args):
        calls.append(path)
        found = lstat(path, *args)
        if len(calls) % 3 == 0:
            shutil.rmtree(folders[len(calls) // 3 % 6], ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "lstat", and_gone)
    list_entries()
    evict(0)
    _written("another")
    assert len(calls) > 6


OTHER = textwrap.dedent(
    """
    import sys, numpy as np
    from napari_dinomed.features.cache import evict
    from napari_dinomed.features.store import FeatureStore
    random, said = np.random.default_rng(int(sys.argv[1])), []
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(60):
        number = int(random.integers(8))
        tokens = np.full((6, 3, 5, 6), number, np.float16)
        store = FeatureStore.for_signature(f"s{number}", tokens.shape, "x", said.append)
        for index in range(6):
            found = store.read(index)
            assert found is None or (found == number).all(), (number, found)
            store.write(index, tokens[index:index + 1])
            if not random.integers(4):
                evict(0)
    print(*said)
    """
)


def test_two_programs_on_one_cache_evict_each_others_features():
    """Of eight volumes, at every fourth slice; what one deletes the other is writing."""
    command = [sys.executable, "-c", OTHER]
    programs = [
        subprocess.Popen([*command, str(seed)], stdin=-1, stdout=-1, stderr=-1, text=True)
        for seed in range(2)
    ]
    for program in programs:
        assert program.stdout.readline() == "ready\n", program.stderr.read()
    for program in programs:
        program.stdin.write("go\n")
        program.stdin.flush()
    for program in programs:
        said, errors = program.communicate(timeout=200)
        assert (program.returncode, said.strip()) == (0, ""), errors


def test_features_of_another_version_are_not_read():
    """The same place, the same shape, no checksum: it may hold anything."""
    folder = _written().folder
    shutil.rmtree(folder / "tokens")
    theirs = zarr.create_array(
        folder / "tokens", shape=SHAPE, chunks=(1, 3, 5, 6), dtype="float16", fill_value=0
    )
    theirs[:] = 1
    again = _store()
    assert all(again.read(index) is None for index in range(4))
    assert _is_whole(_written())


# Kills


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be forked")
def test_killed_while_writing_at_a_hundred_moments():
    """Never a wrong token; nothing half-written stays once the next one comes."""
    code = textwrap.dedent(
        """
        import os, random, signal, time, numpy as np
        from napari_dinomed.features.store import FeatureStore
        random.seed(0)
        for _ in range(100):
            told, telling = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    store = FeatureStore.for_signature("s", (6, 64, 32, 32), "x", print)
                    os.write(telling, b".")
                    for index in 99 * list(range(6)):
                        store.write(index, np.full((1, 64, 32, 32), index, np.float16))
                        os.write(telling, b".")
                finally:
                    os._exit(0)
            # Every so many writes, then somewhere in the next one.
            for _ in range(random.randrange(7)):
                os.read(told, 1)
            time.sleep(random.uniform(0.0, 0.005))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(told)
            os.close(telling)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    store = _store("s", (6, 64, 32, 32))
    found = [store.read(index) for index in range(6)]
    assert any(tokens is not None for tokens in found)
    for index, tokens in enumerate(found):
        assert tokens is None or (tokens == index).all()
    assert not list(store.folder.rglob("*.partial"))
    assert len(list(store.folder.rglob("*.held"))) == 1


def test_what_the_dead_left_half_written_is_swept_and_what_the_living_write_is_not():
    folder = _written().folder
    partial = folder / CHUNK.with_suffix(".0123.partial")
    partial.write_bytes(b"half")
    code = textwrap.dedent(
        """
        import sys
        from napari_dinomed.features.store import FeatureStore
        store = FeatureStore.for_signature("abc", (4, 3, 5, 6), "x", print)
        print("open", flush=True)
        sys.stdin.read()
        """
    )
    (folder / "dead.held").write_text("")
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as living:
        assert living.stdout.readline() == b"open\n"
        assert not partial.exists()
        partial.write_bytes(b"half")
        _store()
        assert partial.exists()
        living.kill()
    _store()
    assert not partial.exists()


# Damage and malice


def test_a_bit_that_flips_anywhere_is_noticed():
    store = _written()
    chunk = store.folder / CHUNK
    content = chunk.read_bytes()
    places = random.Random(0).sample(range(8 * len(content)), 150)
    for place in places:
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        chunk.write_bytes(flipped)
        assert store.read(2) is None
    chunk.write_bytes(content)
    assert _is_whole(store)


ODD = (
    "[]",
    "5",
    "null",
    '"text"',
    "{}",
    '{"encoder": 5, "shape": []}',
    '{"encoder": "x", "shape": 7}',
    '{"encoder": "x", "shape": ["a", null]}',
    '{"encoder": "x", "shape": [1e999]}',
    '{"encoder": null, "shape": {"a": 1}}',
    "[" * 30_000,
    "1" * 60_000,
    "\x00",
    "x" * 100_000,
)


@pytest.mark.parametrize("odd", ODD, ids=lambda text: text[:24])
def test_an_odd_entry_is_judged_alone(odd):
    good, bad = _written("good"), _written("bad")
    (bad.folder / "entry.json").write_text(odd)
    (bad.folder / "tokens" / "zarr.json").write_text(odd)
    shown = {entry.folder.name: entry for entry in list_entries()}
    assert shown["good"].shape == SHAPE
    assert shown["bad"].encoder == "damaged"
    settings.save_settings(settings.Settings(cache_limit=10**6))
    assert _is_whole(_written("third"))
    assert _is_whole(good)
    assert _is_whole(_written("bad"))


def _layout_with(**changes):
    def change(folder):
        path = folder / "tokens" / "zarr.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _linked(folder, place):
    """A link where something of the store is expected, to what must stay as it is."""
    target = features_folder().parent / "precious"
    target.mkdir()
    (target / "kept").write_text("kept")
    place = folder / place
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(target)


def _pipe(folder, place):
    place = folder / place
    place.unlink()
    os.mkfifo(place)


MALICE = {
    "no checksum": _layout_with(codecs=[{"name": "bytes"}]),
    "huge": _layout_with(shape=[4, 3, 10**18, 6]),
    "huge chunks": _layout_with(
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**9] * 4}}
    ),
    "a value for what is missing": _layout_with(fill_value=0.0),
    "an unknown codec": _layout_with(codecs=[{"name": "bytes"}, {"name": "numcodecs.x"}]),
    "older format": lambda folder: (folder / "tokens" / "zarr.json").rename(
        folder / "tokens" / ".zarray"
    ),
    "links to the entry": lambda folder: _linked(folder, ""),
    "links to the tokens": lambda folder: _linked(folder, "tokens"),
    "links to the chunks": lambda folder: _linked(folder, "tokens/c"),
    "a link to a chunk": lambda folder: _linked(folder, CHUNK),
    "a link to the layout": lambda folder: _linked(folder, "tokens/zarr.json"),
    "a pipe for a layout": lambda folder: _pipe(folder, "tokens/zarr.json"),
    "a pipe for an entry": lambda folder: _pipe(folder, "entry.json"),
    "a pipe for a chunk": lambda folder: _pipe(folder, CHUNK),
    "a long chunk": lambda folder: os.truncate(folder / CHUNK, 10**12),
    "a folder for a chunk": lambda folder: (
        (folder / CHUNK).unlink(),
        (folder / CHUNK).mkdir(),
    ),
}


@pytest.mark.skipif(os.name == "nt", reason="needs pipes, and links without a privilege")
@pytest.mark.parametrize("malice", MALICE)
def test_a_hostile_cache(malice, home):
    store = _written()
    MALICE[malice](store.folder)
    list_entries()
    again = _store()
    for index in range(4):
        found = again.read(index)
        assert found is None or np.array_equal(found, TOKENS[index])
    again.write(0, TOKENS)
    clear()
    assert list_entries() == []
    precious = home / "cache" / "precious"
    assert not precious.exists() or [path.name for path in precious.iterdir()] == ["kept"]


@pytest.mark.skipif(os.name == "nt", reason="needs links without a privilege")
def test_a_link_to_the_whole_cache_is_followed(home, tmp_path):
    """Users put a cache on a larger disk so."""
    (home / "cache").symlink_to(tmp_path)
    _written()
    assert (tmp_path / "features" / "abc").is_dir()
    assert clear() >= TOKENS.nbytes
    assert list(tmp_path.rglob("entry.json")) == []


def test_names_and_times_that_nobody_would_choose(capsys):
    from napari_dinomed.cli.housekeeping import cache_list

    folder = _written("[red]").folder
    (folder / "entry.json").write_text('{"encoder": "[/bold]", "shape": [-1]}')
    os.utime(folder, (2**40, 2**40))
    cache_list()
    said = capsys.readouterr().out
    assert "[/bold]" in said
    assert "[red]" in said
