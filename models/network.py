"""The forecaster as a torch module: the equations that models.lstm serves in numpy."""

import torch
from torch import Tensor, nn

from models.features import ANCHORS, INPUTS
from models.lstm import LEVELS, MEDIAN

HIDDEN = 32


class Forecaster(nn.Module):
    """Inputs [T, N, 13] -> quantiles [T, N, 7] of the next normalised value."""

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.lstm = nn.LSTM(len(INPUTS), hidden)
        self.head = nn.Linear(hidden, len(LEVELS) + ANCHORS + 1)
        with torch.no_grad():
            self.head.bias[: len(LEVELS)] = -1.0  # quantiles start close together,
            self.head.bias[MEDIAN] = 0.0  # around an unshifted anchor

    def forward(self, inputs: Tensor) -> Tensor:
        """Quantiles at LEVELS; the median is a mixture of anchors plus an offset, the rest never cross."""
        out = self.head(self.lstm(inputs)[0])
        offsets, weights = out[..., : len(LEVELS)], out[..., len(LEVELS) :].softmax(-1)
        anchor = (weights[..., :-1] * inputs[..., :ANCHORS]).sum(-1, keepdim=True)
        median = offsets[..., MEDIAN : MEDIAN + 1] + anchor
        steps = nn.functional.softplus(offsets)
        below = steps[..., :MEDIAN].flip(-1).cumsum(-1).flip(-1)
        above = steps[..., MEDIAN + 1 :].cumsum(-1)
        return torch.cat((median - below, median, median + above), -1)


def pinball(quantiles: Tensor, found: Tensor) -> Tensor:
    """Quantile loss of forecasts [..., 7] for what was found [...], mean over LEVELS."""
    levels = quantiles.new_tensor(LEVELS)
    error = found.unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(-1)
