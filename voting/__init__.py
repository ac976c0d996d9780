"""Voting: from ballots and answers to a verdict. No model, no graph, no file."""
