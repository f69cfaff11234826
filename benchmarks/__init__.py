"""The costs of this package: `make bench`."""
