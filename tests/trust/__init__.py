"""What dhis2kv promises, tried as often as time allows: ``python -m tests.trust [--long] [--live URL]``."""
