"""Fine-tuning: from a recipe to the best checkpoint."""
