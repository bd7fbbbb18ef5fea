"""Models: forecasters and detectors. One file a name; the only place that may import torch."""
