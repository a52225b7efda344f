from __future__ import annotations

import pytest
import torch

from napari_dinomed.taught.learners import LEARNERS


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learner_parts_what_is_unlike_and_says_the_same_again(learner):
    random = torch.Generator().manual_seed(3)
    belongs = torch.stack([torch.arange(400) < 80, torch.arange(400) > 300], dim=1)
    features = torch.randn(400, 12, generator=random)
    features[belongs[:, 0], 2] += 6
    features[belongs[:, 1], 5] += 6
    given = features[::2], belongs[::2], torch.ones_like(belongs[::2])
    learnt = LEARNERS[learner].fit(*given)
    logits = LEARNERS[learner].read(learnt, features)
    for column, count in ((0, 40), (1, 49)):
        order = logits[1::2, column].argsort(descending=True)[:count]
        assert belongs[1::2][order, column].float().mean() > 0.9
    again = LEARNERS[learner].read(LEARNERS[learner].fit(*given), features)
    torch.testing.assert_close(again, logits)


@pytest.mark.parametrize("learner", LEARNERS)
def test_what_is_not_known_is_not_taken_for_elsewhere(learner):
    """Half of what looks so is of a volume in which nobody drew the label."""
    random = torch.Generator().manual_seed(3)
    is_alike = torch.arange(400) < 200
    features = torch.randn(400, 12, generator=random)
    features[is_alike, 2] += 6
    known = (torch.arange(400) % 2 == 0)[:, None]
    learnt = LEARNERS[learner].fit(features, is_alike[:, None] & known, known)
    logits = LEARNERS[learner].read(learnt, features[~known[:, 0]])[:, 0]
    assert ((logits > 0) == is_alike[~known[:, 0]]).float().mean() > 0.9
