"""Where we lean on the inside of other people's libraries: one file a library."""
