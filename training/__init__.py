"""Training: recipes, the loop, run folders and evaluation."""
