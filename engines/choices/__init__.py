"""Where a reply names a choice, and how its tokens are spelled."""
