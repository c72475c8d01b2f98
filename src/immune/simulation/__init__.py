"""A fleet with honest physics, to run the whole system against without a single real agent."""
