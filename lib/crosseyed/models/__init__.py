"""Models as scorers and encoders: sources, loading, checkpoints and the cache of embeddings."""
