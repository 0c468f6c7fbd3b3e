"""The page "Move it yourself": what a model answers wherever a reader puts an object."""
