"""Does a model help to do harm, and does it refuse what is harmless."""
