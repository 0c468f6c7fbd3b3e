"""Models that this project trains: recipes, training, experiments and model cards."""
