"""The DHIS2 data store in a box: one profile per server version, in-process or served on the loopback.

Here since no test should need a server, and some things no server does when it is asked to. Its modules import each
other, without a circle, and nothing else of ours, so that a mistake about the server cannot be made twice in the same
way: ``core`` answers, on top of it are two hosts, ``adapter`` and ``http``, and on top of both ``emulator``.
"""

from .core import LogRecord
from .emulator import Emulator
from .faults import Fault
from .messages import Reply, Request
from .profiles import PROFILES
from .releases import RELEASES

__all__ = ["PROFILES", "RELEASES", "Emulator", "Fault", "LogRecord", "Reply", "Request"]
