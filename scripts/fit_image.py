"""Pictures painted: what `ins3d picture` does, from a checkout."""

from ins3d.cli.picture import main

if __name__ == "__main__":
    main()
