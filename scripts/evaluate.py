"""Finished runs evaluated: what `ins3d evaluate` does, from a checkout."""

from ins3d.cli.evaluate import main

if __name__ == "__main__":
    main()
