"""The control tokens of widely used chat models, by family: what speaks for a turn, a tool or a thought."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "ChatML, Qwen": (
        "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<tool_call>", "</tool_call>", "<tool_response>",
        "</tool_response>", "<think>", "</think>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
        "<|image_pad|>", "<|video_pad|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
        "<|quad_start|>", "<|quad_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
        "<|repo_name|>", "<|file_sep|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>",
    ),
    "Llama 2": ("<s>", "</s>", "<unk>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    "Llama 3 and 4": (
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>",
        "<|python_tag|>", "<|finetune_right_pad_id|>", "<|header_start|>", "<|header_end|>", "<|eot|>", "<|eom|>",
        "<|step_id|>", "<|python_start|>", "<|python_end|>", "<|image|>", "<|image_start|>", "<|image_end|>",
        "<|patch|>", "<|finetune_right_pad|>", "<|text_post_train_reserved_special_token_3|>",
    ),
    "Mistral, Magistral, Devstral": (
        "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
        "[TOOL_CALLS]", "[TOOL_CONTENT]", "[ARGS]", "[CALL_ID]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[THINK]",
        "[/THINK]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[AUDIO]", "[BEGIN_AUDIO]",
        "[MODEL_SETTINGS]", "[/MODEL_SETTINGS]",
    ),
    "Gemma": (
        "<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
        "<image_soft_token>",
    ),
    "Gemma 4": (
        "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>", "<|tool>", "<tool|>", "<|tool_call>",
        "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|image>", "<image|>", "<|audio>", "<audio|>",
        "<|video>", "<video|>", "<|audio|>", "<|video|>", '<|"|>',
    ),
    "Phi": (
        "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "<|im_sep|>", "<|dummy_85|>", "<|tool|>",
        "<|/tool|>", "<|tool_call|>", "<|/tool_call|>", "<|tool_response|>", "<|placeholder1|>",
    ),
    "Zephyr, Tulu, OLMo, Falcon 3": (
        "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>", "<|pad|>", "<|padding|>",
    ),
    "Command, Aya": (
        "<BOS_TOKEN>", "<EOS_TOKEN>", "<PAD>", "<UNK>", "<CLS>", "<SEP>", "<MASK_TOKEN>", "<EOP_TOKEN>",
        "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>",
        "<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_ACTION|>",
        "<|END_ACTION|>", "<|START_TOOL_RESULT|>", "<|END_TOOL_RESULT|>", "<|START_TEXT|>", "<|END_TEXT|>",
        "<|YES_TOKEN|>", "<|NO_TOKEN|>", "<|GOOD_TOKEN|>", "<|BAD_TOKEN|>", "<|NEW_FILE|>",
    ),
    "DeepSeek": (
        "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>",
        "<｜System｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>",
        "<｜tool▁sep｜>", "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<|begin▁of▁sentence|>",
        "<|end▁of▁sentence|>", "<|User|>", "<|Assistant|>", "<|EOT|>", "<｜DSML｜", "</｜DSML｜",
    ),
    "GLM": (
        "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
        "<|endoftext|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
        "<|begin_of_audio|>", "<|end_of_audio|>", "<|begin_of_box|>", "<|end_of_box|>", "<arg_key>", "</arg_key>",
        "<arg_value>", "</arg_value>", "/nothink", "<|code_prefix|>", "<|code_middle|>", "<|code_suffix|>",
    ),
    "EXAONE": (
        "[|system|]", "[|user|]", "[|assistant|]", "[|tool|]", "[|endofturn|]", "[BOS]", "[EOS]", "[PAD]", "[UNK]",
        "<|system|>", "<|endofturn|>",
    ),
    "Seed": (
        "<seed:bos>", "<seed:eos>", "<seed:pad>", "<seed:think>", "</seed:think>", "<seed:tool_call>",
        "</seed:tool_call>", "<seed:cot_budget_reflect>", "</seed:cot_budget_reflect>", "<[begin▁of▁sentence]>",
        "<[end▁of▁sentence]>", "<[PAD▁TOKEN]>",
    ),
    "MiniMax": (
        "]~!b[", "]~b]", "[e~[", "]!p~[", "]!d~[", "]~!s[", "<minimax:tool_call>", "</minimax:tool_call>",
        "<begin_of_document>", "<end_of_document>", "<beginning_of_sentence>", "<end_of_sentence>",
    ),
    "Nemotron": (
        "<extra_id_0>", "<extra_id_1>", "<extra_id_2>", "<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>", "<SPECIAL_13>",
        "<SPECIAL_14>", "<TOOLCALL>", "</TOOLCALL>", "<AVAILABLE_TOOLS>", "</AVAILABLE_TOOLS>", "<TOOL_RESPONSE>",
        "</TOOL_RESPONSE>",
    ),
    "Harmony (gpt-oss)": (
        "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "<|constrain|>",
        "<|startoftext|>", "<|endofprompt|>", "<|refusal|>", "<|untrusted|>", "<|end_untrusted|>", "<|begin_of_text|>",
    ),
    "Granite": (
        "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", "<|tool_call|>", "<|start_of_cite|>",
        "<|end_of_cite|>", "<|start_of_plugin|>", "<|end_of_plugin|>", "<|unk|>",
    ),
    "InternLM": (
        "<|action_start|>", "<|action_end|>", "<|interpreter|>", "<|plugin|>", "<eoh>", "<eoa>", "<eosys>", "<|User|>",
        "<|Bot|>", "<|System|>", "<TOKENS_UNUSED_0>", "<TOKENS_UNUSED_1>",
    ),
    "Yi, LFM": (
        "<|startoftext|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|unk|>", "<|tool_list_start|>",
        "<|tool_list_end|>", "<|tool_call_start|>", "<|tool_call_end|>", "<|tool_response_start|>",
        "<|tool_response_end|>",
    ),
    "Falcon": (
        ">>TITLE<<", ">>ABSTRACT<<", ">>INTRODUCTION<<", ">>SUMMARY<<", ">>COMMENT<<", ">>ANSWER<<", ">>QUESTION<<",
        ">>DOMAIN<<", ">>PREFIX<<", ">>SUFFIX<<", ">>MIDDLE<<",
    ),
    "Baichuan": ("<reserved_102>", "<reserved_103>", "<reserved_106>", "<reserved_107>", "<C_Q>", "<C_A>"),
    "Kimi": (
        "<|im_user|>", "<|im_assistant|>", "<|im_system|>", "<|im_middle|>", "[BOS]", "[EOS]", "[EOT]", "[PAD]",
        "[UNK]", "[EOP]", "<|media_begin|>", "<|media_content|>", "<|media_end|>", "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>", "<|tool_call_argument_begin|>",
    ),
    "Hunyuan": (
        "<｜hy_begin▁of▁sentence｜>", "<｜hy_end▁of▁sentence｜>", "<｜hy_User｜>", "<｜hy_Assistant｜>",
        "<｜hy_place▁holder▁no▁2｜>", "<｜hy_place▁holder▁no▁3｜>", "<｜hy_place▁holder▁no▁8｜>", "<|startoftext|>",
        "<|extra_0|>", "<|extra_4|>", "<|bos|>", "<|eos|>",
    ),
    "Apertus": (
        "<|system_start|>", "<|system_end|>", "<|developer_start|>", "<|developer_end|>", "<|user_start|>",
        "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>", "<|inner_prefix|>", "<|inner_suffix|>",
        "<|tools_prefix|>", "<|tools_suffix|>",
    ),
    "Jamba, OpenChat, ERNIE, Grok, Step": (
        "<|bom|>", "<|eom|>", "<|pad|>", "<|end_of_turn|>", "<|begin_of_sentence|>", "<|end_of_sentence|>",
        "<|separator|>", "<|BOT|>", "<|CALL_START|>", "<|CALL_END|>", "<|THINK_START|>", "<|THINK_END|>", "<|control|>",
    ),
}  # fmt: skip

COMMON_SPECIAL_TOKENS = tuple(dict.fromkeys(token for tokens in FAMILIES.values() for token in tokens))
"""All of them, each once: for servers that do not say which model's template they have."""

MARKUP = frozenset({"<s>", "</s>"})
"""HTML tags to most models, and control tokens only to a model that has them."""

OWN_WORDS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Marks of a model's thoughts and calls. In its own turns they stay, unless its tokenizer calls them special."""
