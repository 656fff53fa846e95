"""What a script needs: paint, open, render and judge. Everything here is exported by `ins3d` itself."""
