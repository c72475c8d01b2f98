"""Ladders of actions, treatments and their end, verification on fresh vitals."""
