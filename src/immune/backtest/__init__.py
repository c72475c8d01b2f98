"""What the system would have said of recorded vitals, one at a time."""
