"""How long a look at a setting takes, against a look into a dict: ``python -m tests.bench_config``.

Both are timed within one run, in turns, so that the ratio means something on any machine.
"""

import timeit

from dhis2kv import Config

SETTINGS = {
    **{f"setting{number}": number for number in range(200)},
    "theme": "dark",
    "db": {"host": "db.example.org", "port": 5432, "replicas": ["a", "b"]},
}


def nanoseconds(look, names, number=20_000, repeat=50):
    """The best of several runs: what disturbs a run makes it longer, and never shorter."""
    return min(timeit.repeat(look, globals=names, number=number, repeat=repeat)) / number * 1e9


def main():
    plain, timed = Config(SETTINGS), Config(SETTINGS, refresh_after=300)
    print(f"{'':34}{'ns':>8}{'ratio':>8}")
    base = nanoseconds("mapping['theme']", {"mapping": SETTINGS})
    print(f"{'a dict':34}{base:>8.0f}{1:>8.1f}")
    for what, config, name in (
        ("Config, a plain value", plain, "theme"),
        ("Config, a plain value by its path", plain, "db.port"),
        ("the same, with refresh_after", timed, "theme"),
        ("Config, an object, copied", plain, "db"),
    ):
        time = nanoseconds(f"mapping[{name!r}]", {"mapping": config})
        print(f"{what:34}{time:>8.0f}{time / base:>8.1f}")


if __name__ == "__main__":
    main()
