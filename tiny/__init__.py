"""The three embedded tiny models: their corpus, their training, their exam and their weights."""
