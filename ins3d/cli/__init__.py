"""The command `ins3d`: every subcommand, read and run."""
