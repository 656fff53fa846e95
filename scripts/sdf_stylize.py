"""Objects painted: what `ins3d object` does, from a checkout."""

from ins3d.cli.object import main

if __name__ == "__main__":
    main()
