"""The DHIS2 data store in a box: one profile per server version, in-process or served on the loopback."""

from .faults import Fault
from .messages import Reply, Request
from .profiles import PROFILES
from .server import Emulator, LogRecord

__all__ = ["PROFILES", "Emulator", "Fault", "LogRecord", "Reply", "Request"]
