"""Images and annotations: composed scenes, photographs, and the data sets that are read."""
