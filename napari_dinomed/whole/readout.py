"""Reading labels of whole volumes from what these look like: k-NN or a linear probe.

In: features (n, parts), truths (n,), patients (n,). Out: probabilities, for volumes that
taught as by the others; and figures of how well they tell. What a readout is set to is
chosen within the part that teaches, never by what it is tried on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_dinomed.errors import ModelError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

Readout = Literal["knn", "probe"]
READOUTS: tuple[Readout, ...] = ("knn", "probe")
# What is tried: neighbours by cosine; strengths of a logistic regression's penalty.
_NEIGHBOURS = (1, 3, 5, 10, 20)
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
_FOLDS = 5
# Draws of patients that an interval is taken from, and its ends in hundredths.
_DRAWS, _ENDS = 1000, (2.5, 97.5)
_BINS = 10
_DEALS = 3


@dataclass(frozen=True)
class Figures:
    """How well a label is told, on volumes that did not teach.

    Parameters
    ----------
    label, readout
        What, and by which.
    volumes, positive
        How many there were, and of how many it was true.
    auroc, low, high
        Area under the receiver operating characteristic, and its 95 % interval when
        patients are drawn anew.
    auprc
        Average precision; by chance, the share of those that are true.
    calibration
        Mean distance of probabilities from how often they came true.
    permuted
        The same area when truths are dealt out at random, mean of a few deals.
    """

    label: str
    readout: Readout
    volumes: int
    positive: int
    auroc: float
    low: float
    high: float
    auprc: float
    calibration: float
    permuted: float


def figures_of(
    label: str, features: Floats, truth: Floats, patients: NDArray[Any], readout: Readout
) -> Figures:
    """Try a readout on a label.

    Raises
    ------
    ModelError
        Where too few patients have it, or have it not.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    known = ~np.isnan(truth)
    features, patients = features[known], patients[known]
    belongs = truth[known] > 0
    probabilities = out_of_fold(label, features, belongs, patients, readout)
    random = np.random.default_rng(0)
    drawn = []
    groups = {who: np.flatnonzero(patients == who) for who in np.unique(patients)}
    for _ in range(_DRAWS):
        chosen = random.choice(list(groups), len(groups))
        index = np.concatenate([groups[who] for who in chosen])
        if 0 < belongs[index].sum() < len(index):
            drawn.append(roc_auc_score(belongs[index], probabilities[index]))
    low, high = np.percentile(drawn, _ENDS)
    by_chance = []
    for _ in range(_DEALS):
        dealt = random.permutation(belongs)
        told = out_of_fold(label, features, dealt, patients, readout)
        by_chance.append(roc_auc_score(dealt, told))
    return Figures(
        label,
        readout,
        len(belongs),
        int(belongs.sum()),
        float(roc_auc_score(belongs, probabilities)),
        float(low),
        float(high),
        float(average_precision_score(belongs, probabilities)),
        _calibration(probabilities, belongs),
        float(np.mean(by_chance)),
    )


def out_of_fold(
    label: str,
    features: Floats,
    belongs: NDArray[np.bool_],
    patients: NDArray[Any],
    readout: Readout,
) -> Floats:
    """Probability (n,) of each volume, by what other patients' taught; errors as `fit`."""
    from sklearn.model_selection import StratifiedGroupKFold

    # One is held out, and of those that teach a part is, too.
    folds = _folds(label, belongs, patients, least=3)
    probabilities = np.zeros(len(belongs))
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for teach, held in parts.split(features, belongs, patients):
        fitted = fit(label, features[teach], belongs[teach], patients[teach], readout)
        probabilities[held] = fitted.predict_proba(features[held])[:, 1]
    return probabilities


def fit(
    label: str,
    features: Floats,
    belongs: NDArray[np.bool_],
    patients: NDArray[Any],
    readout: Readout,
) -> Any:
    """A fitted scikit-learn classifier, set as does best among the patients that teach.

    Raises
    ------
    ModelError
        Where fewer than two patients have the label, or have it not.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, make_scorer
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    folds = _folds(label, belongs, patients, least=2)
    inner = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    # Fewer neighbours than the smallest part that teaches.
    most = int(len(belongs) * (folds - 1) / folds) - 1
    head: Any
    choices: dict[str, Any]
    if readout == "knn":
        head = KNeighborsClassifier(metric="cosine", weights="distance")
        choices = {"head__n_neighbors": [k for k in _NEIGHBOURS if k <= most] or [1]}
    else:
        head = LogisticRegression(class_weight="balanced", max_iter=2000)
        choices = {"head__C": _STRENGTHS}
    pipeline = Pipeline([("scale", StandardScaler()), ("head", head)])
    choices["scale"] = [StandardScaler(), "passthrough"]
    # A part that is tried may be of one kind.
    loss = make_scorer(
        log_loss,
        greater_is_better=False,
        response_method="predict_proba",
        labels=[False, True],
    )
    search = GridSearchCV(pipeline, choices, scoring=loss, cv=inner)
    search.fit(features, belongs, groups=patients)
    return search.best_estimator_


def _folds(
    label: str, belongs: NDArray[np.bool_], patients: NDArray[Any], least: int
) -> int:
    """How many parts patients can be divided into, each with both kinds."""
    sides = (len(np.unique(patients[belongs == side])) for side in (True, False))
    fewest = min(sides)
    if fewest < least:
        raise ModelError(
            f"Expected at least {least} patients with {label} and {least} without it, to "
            f"teach and to try; got {fewest}."
        )
    return min(_FOLDS, fewest)


def _calibration(probabilities: Floats, belongs: NDArray[np.bool_]) -> float:
    """Expected calibration error (Naeini et al. 2015) in bins of one width."""
    place = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    error = 0.0
    for number in range(_BINS):
        own = place == number
        if own.any():
            gap = abs(probabilities[own].mean() - belongs[own].mean())
            error += float(own.mean() * gap)
    return error
