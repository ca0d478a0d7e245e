"""``python -m hybridquant`` is ``hybridquant``."""

import sys

from hybridquant.cli import main

sys.exit(main())
