"""The case opened for an infection: its states, events and effects, and the step between them."""
