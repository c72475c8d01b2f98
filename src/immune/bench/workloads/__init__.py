"""Seeded samples of agents at a step a second, made in slices so that memory stays small.

`laws` draws one metric; `fleets` puts metrics together into the workloads that the benches name.
"""
