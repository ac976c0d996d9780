"""The parts of the page on which a council is written: the board, the forms, the text."""
