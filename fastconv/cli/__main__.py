"""``python -m fastconv.cli``, where the `fastconv` command is not on the PATH."""

import sys

from . import main

sys.exit(main())
