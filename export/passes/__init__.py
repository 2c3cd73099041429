"""Changes to a finished padded graph that give it another precision, one a file."""
