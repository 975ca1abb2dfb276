"""`python -m segrt` is the `segrt` command."""

import sys

from segrt.cli import main

sys.exit(main())
