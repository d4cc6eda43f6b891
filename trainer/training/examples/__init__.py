"""The examples of a training: which tokens are learnt, how much an example counts, the part that is held out."""
