"""Immune: an immune system for fleets of AI agents.

Importing this package loads neither numpy nor any part of the server: an agent that only reports
its vitals pays only for what it uses.
"""

__version__ = "0.1.0"
