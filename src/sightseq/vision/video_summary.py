"""Summary of a video by a few of its frames."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning


def representatives(features: NDArray[np.floating], count: int) -> list[int]:
    """Choose the frames that represent a video: of each cluster of similar frames, the one nearest to its centre.

    The clusters are those of k-means, as in VSUMM: de Avila et al., 2011 (doi 10.1016/j.patrec.2010.08.004). Each
    feature is scaled to a standard deviation of 1 before.

    Args:
        features: of the frames [N, D].
        count: number of clusters, at least 1.

    Returns:
        The places of the frames in ascending order: `count`, or fewer if there are fewer different frames.
    """
    spread = features.std(0)
    scaled = (features - features.mean(0)) / np.where(spread > 0, spread, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different frames than clusters
        model = KMeans(min(count, len(scaled)), n_init=4, random_state=0).fit(scaled)
    distances = np.linalg.norm(scaled - model.cluster_centers_[model.labels_], axis=1)
    chosen = []
    for cluster in np.unique(model.labels_):
        members = np.flatnonzero(model.labels_ == cluster)
        chosen.append(int(members[distances[members].argmin()]))
    return sorted(chosen)
