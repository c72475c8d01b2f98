"""Ranked causes with confidence and the evidence in plain words."""
