"""What a model can do, found out by asking it: as proposer, voter and aggregator, and its wire."""
