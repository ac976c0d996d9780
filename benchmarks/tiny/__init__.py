"""How the three embedded tiny models were made: their corpus, their training and their exam."""
