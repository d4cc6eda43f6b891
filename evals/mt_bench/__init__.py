"""MT-Bench and Vicuna-80: one or two turns, a score from 1 to 10 or two games, and FastChat's file formats."""
