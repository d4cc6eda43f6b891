"""The fences around judged texts: tags with a code that no text can know, and what is read as such a tag besides."""
