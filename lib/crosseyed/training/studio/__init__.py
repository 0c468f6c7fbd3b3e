"""The studio: training images with the variation that photographs have, and their captions."""
