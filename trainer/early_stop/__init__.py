"""Early stopping: the checkpoint after which a training got no better."""
