"""`python -m allyouneed`: the same as the command `allyouneed`."""

from allyouneed.cli import main

if __name__ == "__main__":
    main()
