"""What a quantised variant's numbers are: scales from calibration texts, and what has to stay in float."""
