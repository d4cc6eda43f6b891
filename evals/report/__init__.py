"""One page about a run: how its iterations and its judge did, with the texts behind the numbers."""
