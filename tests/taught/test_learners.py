from __future__ import annotations

import pytest
import torch

from napari_dinomed.taught.learners import LEARNERS


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learner_parts_what_is_unlike_and_says_the_same_again(learner):
    random = torch.Generator().manual_seed(3)
    belongs = torch.arange(400) < 80
    features = torch.randn(400, 12, generator=random)
    features[belongs, 2] += 6
    read = LEARNERS[learner](features[::2], belongs[::2])
    logits = read(features[1::2])
    order = logits.argsort(descending=True)[:40]
    assert belongs[1::2][order].float().mean() > 0.9
    torch.testing.assert_close(
        LEARNERS[learner](features[::2], belongs[::2])(features), read(features)
    )
