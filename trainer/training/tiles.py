"""The tiles of logits in which TRL's trainers project onto the vocabulary, on a processor.

A tile of TRL's is 4096 tokens by 32,768 words, for a GPU, whose kernel works on it in place. Its torch code for other
devices copies each tile several times, in gigabytes that no cache holds.
"""

from collections.abc import Iterator
from contextlib import contextmanager

TOKENS, WORDS = 1024, 2048


@contextmanager
def small_tiles(device_type: str) -> Iterator[None]:
    """Let TRL's trainers take small tiles while the block runs, on a processor (`cpu`); elsewhere change nothing."""
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    if device_type != "cpu":
        yield
        return
    tokens, words = chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE
    chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE = TOKENS, WORDS
    try:
        yield
    finally:
        chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE = tokens, words
