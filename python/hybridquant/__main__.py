"""``python -m hybridquant`` is ``hybridquant``."""

import sys

from hybridquant_cli import main

sys.exit(main())
