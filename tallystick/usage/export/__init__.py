"""Export: rows of usage become files that other programs read."""
