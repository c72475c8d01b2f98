"""The runners behind the commands: serve, demo, simulate. They assemble a system and drive it."""
