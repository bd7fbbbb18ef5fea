"""Models: forecasters and detectors. One file a name; the only place that may import torch."""

from collections.abc import Callable, Mapping

from models.lstm import Lstm
from models.running_mean import RunningMean
from models.seasonal import Seasonal
from models.streaming import Streaming

DETECTORS: Mapping[str, Callable[[], Streaming]] = {
    "lstm": Lstm,
    "running_mean": RunningMean,
    "seasonal": Seasonal,
}
"""name -> factory; every detector file of this folder is here (a test walks the folder)."""
