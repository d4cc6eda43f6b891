"""The parts that callers of a server share: tolerant reading of replies, plain errors, hidden secrets."""
