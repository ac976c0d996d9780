"""What orchestration costs, measured against a stage in a process of its own: `make bench`."""
