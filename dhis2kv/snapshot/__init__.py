"""Export, import, copy and diff of namespaces: entries that are read from one place and written to another.

``read`` gives the entries of a store, ``load`` those of a file, and ``dump`` writes a file; ``plan`` says what would
change in a store, ``apply`` changes it, and ``diff`` compares. So an export is ``dump`` of ``read``, an import is
``apply`` of ``plan`` of ``load``, and a copy the same of ``read``::

    with open("backup.json", "w", encoding="utf-8") as file:
        snapshot.dump(file, {"dataStore": snapshot.read(store), "userDataStore": snapshot.read(store.user)})

    with open("backup.json", encoding="utf-8") as file:
        saved = snapshot.load(file)
    snapshot.apply(store, snapshot.plan(store, saved["dataStore"]))

A file is JSON, one entry a line, and can be read and edited by hand::

    {
      "dhis2kv": 1,
      "dataStore": {
        "app": {
          "cfg": {"theme": "dark"},
          "password": "secret"
        }
      },
      "userDataStore": {},
      "encrypted": {
        "dataStore": {
          "app": ["password"]
        },
        "userDataStore": {}
      }
    }

``encrypted`` names the entries that the server keeps encrypted. Their values stand in the file like all others, so keep
it as safe as the server. All but ``"dhis2kv": 1`` may be missing. What else a file holds is an error with its place, as
is a mark of an entry that is not there, and a name that stands twice.

Numbers keep every digit. For what is larger than memory there are ``Export`` (a file that is read as often as need be)
and ``Changes`` of ``planned`` (a plan that is kept on the disk). ``dhis2kv.snapshot.folder`` keeps namespaces in a
folder.

It may import the library up to the store. ``reading``, ``file``, ``changes`` and ``comparing`` each do one of these,
and ``folder`` does it with one file a key. Here since what is carried from one place to another has to arrive as it
was: every digit of it, what is encrypted, and who may read it.
"""

from __future__ import annotations

from dhis2kv.snapshot.changes import Change, Changes, Mode, apply, check, plan, planned
from dhis2kv.snapshot.comparing import Difference, diff, differences
from dhis2kv.snapshot.file import Export, decoded, dump, encoding, load
from dhis2kv.snapshot.reading import Entry, read

__all__ = [
    "Change",
    "Changes",
    "Difference",
    "Entry",
    "Export",
    "Mode",
    "apply",
    "check",
    "decoded",
    "diff",
    "differences",
    "dump",
    "encoding",
    "load",
    "plan",
    "planned",
    "read",
]
