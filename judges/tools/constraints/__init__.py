"""The constraints tool: a program checks what the prompt asks of an answer's form."""
