"""The command ``dhis2kv``, and ``python -m dhis2kv``; imports the command line.

Here since without its extra the command line cannot even be imported, and somebody has to say what to install.
"""

import sys


def main() -> None:
    """Run the command line, or say what to install when its extra is missing."""
    try:
        try:
            import click  # noqa: F401 - asked for by name, so that another missing module is not mistaken for it
        except ModuleNotFoundError:
            sys.exit("The command line needs the extra 'cli'. Install it with:  pip install 'dhis2kv[cli]'")
        from dhis2kv.cli import main as run

        run()
    except KeyboardInterrupt:  # while modules are still being loaded; later the command line sees to it
        sys.exit("Aborted!")


if __name__ == "__main__":
    main()
