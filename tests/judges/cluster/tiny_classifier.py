"""A random DeBERTa-v2 classifier of a few thousand weights, with a tokenizer that has a token for each letter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

MNLI = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
MAX_POSITIONS = 32


def save_tiny_classifier(folder: Path, labels: Sequence[str] = MNLI) -> Path:
    """Write a classifier with the given label names to `folder` and return it; the weights are the same each time."""
    import torch
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    tokenizer = _tokenizer()
    torch.manual_seed(1)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=MAX_POSITIONS,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        initializer_range=1.0,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    DebertaV2ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    vocabulary = {token: place for place, token in enumerate([*special, *"abcdefghijklmnopqrstuvwxyz?."])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    words.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    )
