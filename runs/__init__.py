"""What all doors share: where threads are kept, how a run is followed and taken up again."""
