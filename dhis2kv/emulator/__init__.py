"""The DHIS2 data store in a box: one profile per server version, in-process or served on the loopback."""

from .core import LogRecord
from .emulator import Emulator
from .faults import Fault
from .messages import Reply, Request
from .profiles import PROFILES
from .releases import RELEASES

__all__ = ["PROFILES", "RELEASES", "Emulator", "Fault", "LogRecord", "Reply", "Request"]
