"""What dhis2kv costs, as ratios within one run and as counted instructions: ``python -m tests.bench``."""
