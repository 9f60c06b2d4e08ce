"""One shard's work, and what it is made from: models, guides, checks, and the settings of its stage."""
