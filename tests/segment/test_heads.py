"""Readouts agree with scikit-learn where it has the same thing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from napari_dinomed.bench.forest import ForestHead
from napari_dinomed.segment.heads import Examples, KnnHead, LinearProbe


@pytest.fixture
def examples():
    random = np.random.default_rng(0)
    centres = random.normal(0, 2, (3, 12))
    classes = np.repeat([0, 2, 5], 20)
    tokens = centres[np.repeat([0, 1, 2], 20)] + random.normal(0, 1, (60, 12))
    return Examples(
        torch.tensor(tokens, dtype=torch.float32),
        torch.tensor(classes),
        torch.ones(60),
    )


@pytest.fixture
def queries():
    return torch.tensor(
        np.random.default_rng(1).normal(0, 2, (50, 12)), dtype=torch.float32
    )


@pytest.mark.parametrize(
    "head",
    [KnnHead(), LinearProbe(), ForestHead()],
    ids=lambda h: type(h).__name__,
)
def test_probabilities(head, examples, queries):
    head.fit(examples)
    proba = head.predict_proba(queries)
    assert head.classes_.tolist() == [0, 2, 5]
    assert proba.shape == (50, 3)
    torch.testing.assert_close(proba.sum(1), torch.ones(50))
    found = head.classes_[head.predict_proba(examples.tokens).argmax(1)]
    assert (found == examples.classes).float().mean() > 0.9


def test_knn_votes_as_scikit_learns(examples, queries):
    head = KnnHead(neighbours=5, temperature=0.07).fit(examples)
    centred = (examples.tokens - examples.tokens.mean(0)).numpy()
    oracle = KNeighborsClassifier(
        5,
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / 0.07),
    ).fit(centred, examples.classes.numpy())
    expected = oracle.predict_proba((queries - examples.tokens.mean(0)).numpy())
    np.testing.assert_allclose(head.predict_proba(queries), expected, atol=1e-4)


def test_the_probe_is_logistic_regression(examples, queries):
    probe = LinearProbe(penalty=1e-2).fit(examples)

    def standardise(tokens):
        return ((tokens - probe.mean_) / probe.scale_).double().numpy()

    # scikit-learn sums the losses where the probe takes their mean: C = 1 / (n × penalty).
    oracle = LogisticRegression(C=1 / (60 * 1e-2), tol=1e-8, max_iter=2000)
    oracle.fit(standardise(examples.tokens), examples.classes.numpy())
    expected = oracle.predict_proba(standardise(queries))
    np.testing.assert_allclose(probe.predict_proba(queries), expected, atol=2e-3)


def test_weights_count(examples, queries):
    """A class of almost no weight is hardly ever the answer."""
    light = Examples(
        examples.tokens,
        examples.classes,
        torch.where(examples.classes == 0, 1e-4, 1.0),
    )
    for head in (KnnHead(), LinearProbe()):
        before = head.fit(examples).predict_proba(queries)[:, 0].mean()
        after = head.fit(light).predict_proba(queries)[:, 0].mean()
        assert after < before / 2


def test_one_example_per_class_is_enough(queries):
    examples = Examples(queries[:2], torch.tensor([0, 1]), torch.ones(2))
    for head in (KnnHead(), LinearProbe()):
        proba = head.fit(examples).predict_proba(queries[:2])
        assert proba[0, 0] > 0.5 > proba[1, 0]
