"""The protocol of the DHIS2 data store as facts, without any input or output.

Which names can be sent (``names``) and how a path is spelled (``calls``), how a value becomes text and back and when
two values are the same (``values``), how numbers keep every digit (``number``, ``exact``), what a reply means and which
error it is (``replies``), what a bulk answer holds (``bulk``), how one asks for it (``query``), and who may read an
entry (``sharing``). What is said here of servers was seen on DHIS2 2.36 to 2.44. Imports only the errors. Here since a
fact about the server should be read and tested without one.
"""

from dhis2kv.wire.bulk import ROW, Batch, Marked, entries
from dhis2kv.wire.calls import Call, base_url, call, call_below, check_delete
from dhis2kv.wire.converting import converted
from dhis2kv.wire.names import SHARED, USER, can_be_held, check_name, check_new_key, cut_by_proxies
from dhis2kv.wire.query import Query
from dhis2kv.wire.replies import Reply, checked, missing, understood
from dhis2kv.wire.values import Careful, check_encryptable, dumps, loads, loads_all, read, same

__all__ = [
    "ROW",
    "SHARED",
    "USER",
    "Batch",
    "Call",
    "Careful",
    "Marked",
    "Query",
    "Reply",
    "base_url",
    "call",
    "call_below",
    "can_be_held",
    "check_delete",
    "check_encryptable",
    "check_name",
    "check_new_key",
    "checked",
    "converted",
    "cut_by_proxies",
    "dumps",
    "entries",
    "loads",
    "loads_all",
    "missing",
    "read",
    "same",
    "understood",
]
