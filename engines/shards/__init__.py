"""Work that many processes or machines share: shards of rows in one folder, claims on them, workers."""
