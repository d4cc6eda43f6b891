"""Arena-Hard: answers, two games a prompt, scores, style control, and arena-hard-auto's file formats."""
