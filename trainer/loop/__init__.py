"""The self-rewarding loop: answers, judgments, pairs, training, measurement, iteration after iteration."""
