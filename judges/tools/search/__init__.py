"""Searches over a corpus: BM25, dense, both, or a server."""
