"""What a training shows of itself: a row of figures per step, a picture of the curves, and a tracker."""
