"""Models: forecasters and detectors. One file a name; the only place that may import torch."""

from collections.abc import Callable, Mapping

from models.lstm import Lstm
from models.running_mean import RunningMean
from seawall.core.ports import Detector

DETECTORS: Mapping[str, Callable[[], Detector]] = {"lstm": Lstm, "running_mean": RunningMean}
"""name -> factory; every detector file of this folder is here (a test walks the folder)."""
