"""Answer sets -> meaning clusters -> preference pairs (RLP-SPG)."""
