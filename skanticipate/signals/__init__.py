"""What teachers may see: checked, asked about, turned into terms."""
