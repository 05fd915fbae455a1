"""`python -m dermseg` does what `dermseg` does."""

import sys

from dermseg.cli import main

# Processes that a data loader starts import this file again.
if __name__ == "__main__":
    sys.exit(main())
