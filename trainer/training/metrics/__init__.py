"""The figures of a training: a row per step, a picture of the curves, and a tracker."""
