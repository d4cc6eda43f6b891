"""A judge or a reward model measured on ranked answers."""
