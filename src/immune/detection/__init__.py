"""Detection: what is normal for each agent, and the evidence that one has left it.

`BaselineLearner` learns, `Sentinel` watches, `FleetWatch` sees what many agents share. All of it is
pure: batches of vitals in, findings out; no clock, no I/O.
"""

from immune.detection.baseline import BaselineLearner
from immune.detection.facts import FactBook
from immune.detection.findings import (
    BaselineProfile,
    Facts,
    Finding,
    MetricEffect,
    MetricProfile,
    Source,
    Subsided,
    Tier,
)
from immune.detection.fleet import FleetFinding, FleetWatch
from immune.detection.params import DetectionParams
from immune.detection.rule_params import RuleParams
from immune.detection.sentinel import Levels, Observation, Sentinel

__all__ = [
    "BaselineLearner",
    "BaselineProfile",
    "DetectionParams",
    "FactBook",
    "Facts",
    "Finding",
    "FleetFinding",
    "FleetWatch",
    "Levels",
    "MetricEffect",
    "MetricProfile",
    "Observation",
    "RuleParams",
    "Sentinel",
    "Source",
    "Subsided",
    "Tier",
]
