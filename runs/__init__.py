"""Running a question, for all interfaces: asking, threads, checkpoints, resuming."""
