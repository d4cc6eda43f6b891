"""Fences around judged texts: tags with a code that no text can know, and near misses of such tags."""
