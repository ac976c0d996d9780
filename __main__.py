"""`python -m mom_council` is the command `mom`."""

from mom_council.cli import main

if __name__ == "__main__":
    main()
