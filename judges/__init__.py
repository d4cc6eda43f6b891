"""The judge: rubric -> prompt -> reply -> verdict -> score."""
