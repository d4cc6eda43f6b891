"""Group relative policy optimisation (Shao et al., 2024) and RLOO (Ahmadian et al., 2024), rewarded by a judge."""
