"""`python -m angle_domains`: the command line."""

import sys

from angle_domains.cli import main

if __name__ == "__main__":
    sys.exit(main())
