"""The count: ballots and answers in, a verdict out. Pure: no model, no graph, no file."""
