"""Image towers: one adapter a family, which says where tokens, attention and pooling are."""
