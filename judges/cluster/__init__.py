"""Clusters of answers by meaning, and preference pairs from them (RLP-SPG)."""
