"""Of a large group not everyone is asked."""

import numpy as np

from immune.detection.params import LearningParams
from immune.detection.peers import PeerPriors
from immune.detection.state import AT, FIELDS
from immune.vitals import N_METRICS

PEERS = 9000


def test_a_part_of_a_large_group_speaks_for_all() -> None:
    """The prior of nine thousand peers is what their laws are, though fewer were asked."""
    rng = np.random.default_rng(3)
    block = np.zeros((PEERS, len(FIELDS), N_METRICS), np.float32)
    block[:, AT["n"]] = 100
    block[:, AT["mean"]] = 0.2 + 0.01 * rng.normal(size=(PEERS, N_METRICS))
    block[:, AT["var"]] = 0.16
    block[:, AT["sxx"]], block[:, AT["sxy"]] = 16, 16 * 0.3
    everyone = np.arange(PEERS)
    priors = PeerPriors(LearningParams(), np.zeros((5, N_METRICS), np.float32), ar_shrink=20.0)
    priors.refresh(np.ones(PEERS, np.int32), np.zeros(PEERS, np.uint8), block, everyone)
    mean, _, var, _, phi = priors.of(1, 0)
    assert np.allclose(mean, 0.2, atol=0.01)
    assert np.allclose(var, 0.16, atol=0.01)
    assert np.allclose(phi, 0.3, atol=0.01)
