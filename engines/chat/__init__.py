"""Chat templates: the tokens that they are made of, and the one way in which a conversation is put into one."""
