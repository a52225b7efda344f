"""An engine without libraries: it starts at once, and misbehaves as it is told.

``python stub.py FOLDER [KIND=DEED ...]``; a deed is done when a message of that kind
arrives. ``version=V`` is what it says it is, after ``greets=TEXT``. ``FOLDER/KIND`` grows
by a byte at each, whichever process it was that it came to.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from pathlib import Path

MAGIC = b"DNM1"
EMPTY = {"name": "labels", "dtype": "|u1", "shape": [0, 0, 0]}
BODIES = {
    "Describe": ("Described", {"device": "none", "encoders": []}),
    "OpenVolume": ("Opened", {"fingerprint": "f"}),
    "OpenSent": ("Opened", {"fingerprint": "f"}),
    "CloseVolume": ("Closed", {}),
    "EncodeVolume": (
        "Encoded",
        {"encoder": "e", "signature": "s", "device": "d", "grid": [1, 1]}
        | {"channels": 1, "computed": 0},
    ),
    "SegmentVolume": ("Segmented", {"start": [0, 0, 0], "generation": 0, "seconds": 0}),
    "TeachModel": ("Closed", {}),
    "Prepare": ("Prepared", {}),
    "Ping": ("Pong", {"seconds_at_step": 0}),
}


def frame(number, kind, body, arrays=()):
    header = {"request": number, "kind": kind, "body": body, "arrays": list(arrays)}
    encoded = json.dumps(header).encode()
    return struct.pack(">4sI", MAGIC, len(encoded)) + encoded


def say(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def answer(number, kind):
    reply, body = BODIES[kind]
    say(frame(number, reply, body, [EMPTY] if kind == "SegmentVolume" else []))


def received():
    while prefix := sys.stdin.buffer.read(8):
        header = json.loads(sys.stdin.buffer.read(struct.unpack(">4sI", prefix)[1]))
        for array in header["arrays"]:
            size = int(array["dtype"][2:]) * math.prod(array["shape"])
            sys.stdin.buffer.read(size)
        yield header["request"], header["kind"]


def do(deed, number, kind, came):
    """Carry out what is wanted of a message: ``DEED`` or ``DEED:ARGUMENT``."""
    if deed.startswith("raw@"):
        deed = "raw:" + Path(deed[4:]).read_bytes().hex()
    deed, _, argument = deed.partition(":")
    if deed == "die" and came <= int(argument):
        print(f"died of {kind}", file=sys.stderr, flush=True)
        os._exit(9)
    if deed == "raw":
        say(bytes.fromhex(argument))
        return
    if deed == "ignore" and came <= int(argument):
        return
    if deed == "pong":
        say(frame(0, "Pong", {"seconds_at_step": float(argument)}))
        return
    if deed == "after_pong":
        say(frame(0, "Pong", {"seconds_at_step": float(argument)}))
    if kind in BODIES:
        answer(number, kind)


def main():
    folder = Path(sys.argv[1])
    deeds = dict(pair.split("=", 1) for pair in sys.argv[2:])
    say(deeds.get("greets", "").encode())
    say(frame(0, "Hello", {"version": deeds.get("version", "stub")}))
    for number, kind in received():
        with (folder / kind).open("ab") as file:
            file.write(b".")
        do(deeds.get(kind, ""), number, kind, (folder / kind).stat().st_size)


if __name__ == "__main__":
    main()
