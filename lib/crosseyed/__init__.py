"""Center bias in contrastive image–text models: measure it, find it, explain it, repair it."""

__version__ = "0.1.0"
