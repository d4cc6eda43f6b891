"""Labels of one rubric, and bfloat16."""
