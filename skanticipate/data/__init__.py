"""What comes in: rows, labels, histories, checked once."""
