"""``python -m immune``: the same as the command ``immune``."""

from immune.cli import main

if __name__ == "__main__":
    main()
