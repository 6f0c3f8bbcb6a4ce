"""``python -m dhis2kv.emulator``: serve an emulator."""

from .serve import main

main()
