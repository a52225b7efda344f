"""Can torch and timm begin here: tried in a process of its own, which may crash.

``python -m napari_dinomed.doctor.torch_probe`` prints what it found as a line of JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict


def main() -> None:
    """Begin torch and timm, and compute a little on the best device."""
    import torch

    from napari_dinomed.errors import WeightsError
    from napari_dinomed.features.checkpoint import import_timm
    from napari_dinomed.features.device import choose_device, describe_device
    from napari_dinomed.features.hardware import torch_build

    device = choose_device()
    square = torch.ones(8, 8, device=device)
    (square @ square).cpu()
    timm_error = ""
    try:
        import_timm()
    except WeightsError as error:
        timm_error = str(error)
    facts = {
        "torch": torch.__version__,
        "device": describe_device(device),
        "timm_error": timm_error,
        "build": asdict(torch_build()),
    }
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
