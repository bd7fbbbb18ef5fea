"""The forecaster as a torch module: the equations that models.recurrent serves in numpy."""

import torch
from torch import Tensor, nn

from models.features import INPUTS
from models.recurrent import ANCHORS, HORIZONS, LEVELS, MEDIAN

HIDDEN = 32
EXTRA = 24  # units between the state and the anomaly logit
CLAMP = 2.0  # loss of one sample above which it teaches nothing
State = tuple[Tensor, Tensor]


class Forecaster(nn.Module):
    """One LSTM; heads for the quantiles at each horizon and for the logit that a sample is anomalous."""

    def __init__(self, hidden: int = HIDDEN, extra: int = EXTRA) -> None:
        super().__init__()
        self.lstm = nn.LSTM(len(INPUTS), hidden)
        self.near = nn.Linear(hidden, len(LEVELS) + ANCHORS)
        self.far = nn.Linear(hidden, (len(HORIZONS) - 1) * (len(LEVELS) + ANCHORS))
        self.seen = nn.Linear(hidden + len(INPUTS), extra)
        self.anomaly = nn.Linear(extra, 1)
        with torch.no_grad():
            for head in (self.near, self.far):
                bias = head.bias.view(-1, len(LEVELS) + ANCHORS)
                bias[:, : len(LEVELS)] = -1.0  # quantiles start close together,
                bias[:, MEDIAN] = 0.0  # around an unshifted anchor
            self.anomaly.bias[:] = -3.0  # anomalies are rare

    def forward(
        self, inputs: Tensor, anchors: Tensor, carried: State | None = None, every: int = 1
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """(inputs [T, N, 37], the far horizons' anchors [T, N, 3, 4], state) -> (quantiles of the next sample
        [T, N, 7], of the far horizons at each `every`-th step [T / every, N, 3, 7], logits [T, N], state)."""
        h, carried = self.lstm(inputs, carried)
        near = _quantiles(self.near(h), inputs[..., :ANCHORS])
        far = _quantiles(self.far(h[::every]).unflatten(-1, (len(HORIZONS) - 1, -1)), anchors[::every])
        logit = self.anomaly(torch.relu(self.seen(torch.cat((h, inputs), -1)))).squeeze(-1)
        return near, far, logit, carried


def _quantiles(out: Tensor, anchors: Tensor) -> Tensor:
    """[..., 7] of a head's output [..., 11]: the median is a mixture of the anchors [..., 4] plus an offset,
    the others are positive steps away from it, so they never cross."""
    offsets, weights = out[..., : len(LEVELS)], out[..., len(LEVELS) :].softmax(-1)
    median = offsets[..., MEDIAN : MEDIAN + 1] + (weights * anchors).sum(-1, keepdim=True)
    steps = nn.functional.softplus(offsets)
    below = steps[..., :MEDIAN].flip(-1).cumsum(-1).flip(-1)
    above = steps[..., MEDIAN + 1 :].cumsum(-1)
    return torch.cat((median - below, median, median + above), -1)


def pinball(quantiles: Tensor, found: Tensor) -> Tensor:
    """Quantile loss of forecasts [..., 7] for what was found [...], mean over LEVELS."""
    levels = quantiles.new_tensor(LEVELS)
    error = found.unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(-1)


def forecast_loss(near: Tensor, far: Tensor, found: Tensor, learnt: Tensor, every: int) -> Tensor:
    """Mean clamped pinball loss of `near` [T, N, 7] and `far` [T / every, N, 3, 7] for what was `found`
    [T, N, 4] (NaN: nothing) at the samples [T, N] that are `learnt`; anomalies are not to be expected."""
    return _masked(near, found[..., 0], learnt) + _masked(
        far, found[::every, :, 1:], learnt[::every, :, None]
    )


def _masked(quantiles: Tensor, found: Tensor, learnt: Tensor) -> Tensor:
    known = torch.isfinite(found) & learnt
    losses = pinball(quantiles, found.nan_to_num()).clamp(max=CLAMP)
    return (losses * known).sum() / known.sum().clamp(min=1)
