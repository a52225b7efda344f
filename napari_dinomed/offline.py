"""Working offline: no connection leaves this machine, whatever a library tries."""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

_ASKED = "NAPARI_DINOMED_OFFLINE"
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname")
_CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")


def forbid_network() -> None:
    """Refuse connections to other machines, from now on and in engines that are started.

    What is refused is an `OSError`, as where there is no network.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ[_ASKED] = "1"
    sys.addaudithook(_refuse)


def forbid_network_if_asked() -> None:
    """As `forbid_network`, where ``NAPARI_DINOMED_OFFLINE`` is set to 1."""
    if os.environ.get(_ASKED) == "1":
        forbid_network()


def _refuse(event: str, details: tuple[Any, ...]) -> None:
    if event in _LOOK_UPS:
        host = details[0]
    elif event in _CONNECTIONS and isinstance(details[1], tuple):
        host = details[1][0]
    else:
        return
    if not _is_this_machine(host):
        raise ConnectionRefusedError(f"working offline: {host} was not asked")


def _is_this_machine(host: Any) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        return False
