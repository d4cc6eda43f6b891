"""One iteration of the loop against TRL's online trainers: time and memory."""
