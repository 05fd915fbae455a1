"""An exponential average of the weights, which is what a run validates and keeps."""

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class RunningAverage(WeightAveraging):
    """Keeps an exponential moving average (EMA) of the weights, renewed after every step.

    Lightning's callback does the work: the average is what validation sees and what a checkpoint holds as its
    `state_dict`, the weights that training goes on with lie beside it. The statistics of batch norm are
    averaged like weights.

    Args:
        decay: Share of the average that a step leaves as it is. At first, step n leaves only
            (1 + n) / (10 + n) where that is less, so that the random beginning is soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        def averaged(average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            # A tensor: the step count lies on the device, and reading it would make the host wait.
            share = torch.as_tensor((1 + steps) / (10 + steps)).clamp(max=decay)
            return average + (1 - share) * (current - average)

        super().__init__(avg_fn=averaged)
