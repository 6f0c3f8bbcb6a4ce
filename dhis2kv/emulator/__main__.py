"""``python -m dhis2kv.emulator``: serve an emulator.

Here since serving needs no extra, and the command line does.
"""

from .serve import main

main()
