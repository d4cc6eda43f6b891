"""Arena-hard-auto's files: questions, answers and judgments, read and written."""
