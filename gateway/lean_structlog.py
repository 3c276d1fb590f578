"""structlog without rich, which it imports where it is there, to paint tracebacks on terminals.

We format them ourselves, and half of what a process of ours imports would be for that: 0.15 seconds
of processor time in each of ten.
"""

import sys
from typing import Final

UNWANTED: Final = ("rich",)

_left_out: Final = [name for name in UNWANTED if name not in sys.modules]
for _name in _left_out:
    sys.modules[_name] = None  # type: ignore[assignment]  # As good as not installed,
import structlog  # noqa: E402

for _name in _left_out:
    del sys.modules[_name]  # but for structlog alone.

__all__ = ["structlog"]
