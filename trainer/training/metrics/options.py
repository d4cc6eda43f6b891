"""The choice of a tracker."""

from typing import Literal

ReportTo = Literal["none", "trackio", "wandb", "tensorboard"]
