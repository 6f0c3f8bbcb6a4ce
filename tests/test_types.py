"""What type checkers make of a program that uses the library."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dhis2kv.emulator import Emulator

PROGRAM = Path(__file__).parent / "typed_program.py"


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROGRAM.parents[1])
    return result.returncode, result.stdout + result.stderr


def test_the_typed_program_runs():
    """What the type checkers read is a program that works."""
    pytest.importorskip("pydantic", reason="models need the extra 'models'")
    from tests import typed_program

    typed_program.main(typed_program.Ours("http://dhis2.test", ("admin", "district"), session=Emulator().session()))


def test_mypy_takes_the_typed_program():
    """mypy --strict knows the type of each expression, and refuses what is wrong."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    pytest.importorskip("pydantic", reason="models need the extra 'models'")
    status, said = run(sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", str(PROGRAM))
    assert status == 0, said


def test_pyright_takes_the_typed_program():
    """So does pyright in its strict mode."""
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if not pyright:
        pytest.skip("pyright is not installed")
    status, said = run(pyright, "--pythonpath", sys.executable, str(PROGRAM))
    assert status == 0, said
