"""Tokenizers in the shape of widely used chat models': control tokens that only tokenizer.json calls special."""

from dataclasses import dataclass
from functools import cache
from typing import Any

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PIPES = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' }}\n{{ m.content }}END\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
GEMMA = (
    "{{ '<bos>' }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content.strip() "
    "+ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ '<s>' }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + '</s>' }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ '<s>[INST] <<SYS>>\n' + m.content + '\n<</SYS>>\n\n' }}"
    "{% elif m.role == 'user' %}"
    "{{ ('' if loop.previtem is defined and loop.previtem.role == 'system' else '<s>[INST] ') "
    "+ m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + ' </s>' }}{% endif %}{% endfor %}"
)
QWEN_3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def around(before: str, after: str, assistant: str = "assistant", start: str = "") -> str:
    """Return a template that writes `before`, with ROLE in it, and `after` around each turn."""
    return (
        f"{{{{ '{start}' }}}}{{% for m in messages %}}"
        f"{{% set role = '{assistant}' if m.role == 'assistant' else m.role %}}"
        f"{{{{ '{before}'.replace('ROLE', role) + m.content + '{after}' }}}}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ '{before}'.replace('ROLE', '{assistant}') }}}}{{% endif %}}"
    )


@dataclass(frozen=True)
class Family:
    """What a family's tokenizer is made of."""

    template: str
    special: tuple[str, ...]
    """Only tokenizer.json calls them special."""
    other: tuple[str, ...] = ()
    """Added tokens that nothing calls special and the template uses."""
    text: tuple[str, ...] = ()
    """What controls though it is no token at all, but ordinary characters."""


FAMILIES = {
    "Phi-3": Family(
        PIPES.replace("END", "<|end|>"), ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")
    ),
    "Llama-3": Family(
        around("<|start_header_id|>ROLE<|end_header_id|>\n\n", "<|eot_id|>", start="<|begin_of_text|>"),
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|reserved_special_token_7|>"),
    ),
    "Mistral v0.3": Family(
        MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[control_8]")
    ),
    "Magistral": Family(
        MISTRAL.replace(
            "{% else %}",
            "{% elif m.role == 'system' %}{{ '[SYSTEM_PROMPT]' + m.content + '[/SYSTEM_PROMPT]' }}{% else %}",
        ),
        (
            "<s>",
            "</s>",
            "[INST]",
            "[/INST]",
            "[SYSTEM_PROMPT]",
            "[/SYSTEM_PROMPT]",
            "[THINK]",
            "[/THINK]",
            "[TOOL_CALLS]",
        ),
    ),
    "Qwen3": Family(
        QWEN_3, ("<|im_start|>", "<|im_end|>", "<|endoftext|>"), ("<think>", "</think>", "<tool_response>")
    ),
    "Gemma": Family(GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")),
    "Gemma-4": Family(
        around("<|turn>ROLE\n", "<turn|>\n", "model", "<bos>"),
        ("<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>"),
    ),
    "Command-R": Family(
        around("<|START_OF_TURN_TOKEN|><|ROLE_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "CHATBOT", "<BOS_TOKEN>").replace(
            "else m.role", "else m.role.upper()"
        ),
        (
            "<BOS_TOKEN>",
            "<EOS_TOKEN>",
            "<|START_OF_TURN_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|USER_TOKEN|>",
            "<|CHATBOT_TOKEN|>",
            "<|SYSTEM_TOKEN|>",
        ),
    ),
    "DeepSeek": Family(
        around("<｜ROLE｜>", "<｜end▁of▁sentence｜>", "Assistant", "<｜begin▁of▁sentence｜>").replace(
            "else m.role", "else m.role.title()"
        ),
        ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜tool▁calls▁begin｜>"),
        ("<｜User｜>", "<｜Assistant｜>", "<｜System｜>"),
    ),
    "GLM": Family(
        around("<|ROLE|>\n", "\n", start="[gMASK]<sop>"),
        ("[gMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|endoftext|>"),
    ),
    "EXAONE": Family(
        around("[|ROLE|]", "[|endofturn|]\n"),
        ("[BOS]", "[PAD]", "[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]"),
    ),
    "Seed": Family(
        around("<seed:bos>ROLE\n", "<seed:eos>"),
        ("<seed:bos>", "<seed:eos>", "<seed:pad>"),
        ("<seed:think>", "</seed:think>"),
    ),
    "MiniMax": Family(
        around("]~b]ROLE\n", "[e~[\n", "ai", "]~!b["), ("]~!b[", "]~b]", "[e~["), ("<minimax:tool_call>",)
    ),
    "Nemotron": Family(
        around("<SPECIAL_11>ROLE\n", "\n<SPECIAL_12>\n", start="<SPECIAL_10>"),
        ("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>", "<SPECIAL_900>"),
    ),
    "Harmony": Family(
        around("<|start|>ROLE<|message|>", "<|end|>"),
        ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "<|reserved_200013|>"),
    ),
    "Granite": Family(
        around("<|start_of_role|>ROLE<|end_of_role|>", "<|end_of_text|>\n"),
        ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
    ),
    "OLMo": Family(
        around("<|ROLE|>\n", "\n", start="<|endoftext|>"),
        ("<|endoftext|>", "<|pad|>"),
        text=("<|user|>", "<|assistant|>"),
    ),
    "Zephyr": Family(PIPES.replace("END", "</s>"), ("<s>", "</s>"), text=("<|user|>", "<|assistant|>", "<|system|>")),
    "ChatML": Family(CHATML, ("<|im_start|>", "<|im_end|>")),
    "Llama-2": Family(LLAMA_2, ("<s>", "</s>"), text=("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")),
    "InternLM": Family(CHATML, ("<|im_start|>", "<|im_end|>", "<|action_start|>", "<|plugin|>", "[UNUSED_TOKEN_141]")),
    "Yi": Family(CHATML, ("<|startoftext|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>")),
    "Falcon": Family(around("ROLE: ", "\n"), (">>TITLE<<", ">>ANSWER<<", ">>QUESTION<<", "<|endoftext|>")),
    "braces": Family(
        around("{ROLE}", "{/turn}", start="<|bot|>"), ("<|bot|>",), ("{user}", "{assistant}", "{system}", "{/turn}")
    ),
    "an unknown one": Family(
        around("{~ROLE~}<turn-of-user>", "{~over~}"),
        ("{~user~}", "{~assistant~}", "{~over~}", "@@end"),
        ("<turn-of-user>",),
    ),
}


@cache
def tokenizer_of(name: str, **settings: Any) -> Any:
    """Return the tokenizer of a family, which calls none of its control tokens special itself."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    family = FAMILIES[name]
    alphabet = {character: n for n, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(alphabet, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in family.special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in family.other])
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=family.template, **settings)
    assert not made.all_special_tokens
    return made


def control_ids(name: str) -> set[int]:
    """Return the numbers of a family's control tokens."""
    family = FAMILIES[name]
    return set(tokenizer_of(name).convert_tokens_to_ids([*family.special, *family.other]))
