"""Films of a run of several styles: what `ins3d film` does, from a checkout."""

from ins3d.cli.film import main

if __name__ == "__main__":
    main()
