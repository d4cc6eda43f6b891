"""FastChat's files: questions, reference answers, models' answers and judgments, read and written."""
