"""What an engine is asked about encoders, whatever the volume: which, weights, and more."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from napari_dinomed.engine.messages import (
    Describe,
    Described,
    EncoderInfo,
    Event,
    Fetched,
    FetchWeights,
    Prepare,
    Prepared,
    Progress,
    Result,
    Stage,
)
from napari_dinomed.errors import Cancelled
from napari_dinomed.features.catalog import CATALOG
from napari_dinomed.features.device import choose_device, describe_device
from napari_dinomed.features.encoder import read_libraries
from napari_dinomed.features.weights import fetch_weights, is_present, missing_licence
from napari_dinomed.segment.one_object.network import taught_weigher
from napari_dinomed.settings import load_settings, save_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    Steps = Iterator[Event | Result | None]

# Seconds between looks whether a download was withdrawn.
_POLL = 0.1


def described(request: Describe) -> Steps:
    """The device, and all encoders with what they need."""
    encoders = tuple(
        EncoderInfo(
            spec.name,
            spec.title,
            spec.channels,
            spec.parameters,
            spec.licence,
            is_present(spec.name),
            missing_licence(spec.name),
        )
        for spec in CATALOG.values()
    )
    yield Described(describe_device(choose_device(request.device)), encoders)


def fetching(request: FetchWeights) -> Steps:
    """Fetch weights, and tell how far that is."""
    news: queue.SimpleQueue[Progress | Fetched | Exception] = queue.SimpleQueue()
    withdrawn = threading.Event()
    threading.Thread(target=_download, args=(request, news, withdrawn), daemon=True).start()
    try:
        while True:
            try:
                event = news.get(timeout=_POLL)
            except queue.Empty:
                yield None
                continue
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Fetched):
                return
    finally:
        withdrawn.set()


def prepared(request: Prepare) -> Steps:
    """Have read what the first click needs, whatever the volume."""
    taught_weigher()
    yield None
    read_libraries(request.encoder)
    yield Prepared()


def _download(
    request: FetchWeights,
    news: queue.SimpleQueue[Progress | Fetched | Exception],
    withdrawn: threading.Event,
) -> None:
    """Fetch weights on a thread of its own; what was fetched so far stays for later."""
    name = request.encoder

    def report(done: int, total: int) -> None:
        if withdrawn.is_set():
            raise Cancelled("withdrawn")
        news.put(Progress(done, total, Stage.FETCHING, name))

    try:
        if request.accepted and request.accepted == missing_licence(name):
            save_settings(load_settings().accepting(request.accepted))
        pin = fetch_weights(name, report)
        news.put(Fetched(pin.sha256, pin.revision))
    except Exception as error:  # noqa: BLE001 - raised again by the request's generator
        news.put(error)
