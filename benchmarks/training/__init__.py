"""Time and memory of this project's trainings against those of TRL's own trainers."""
