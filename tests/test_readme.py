"""Every example of README.rst runs, and gives what the README says.

Examples of one section share their names and a server, whose address is https://dhis2.example.org; ``store`` is a
``Store`` there. A comment ``.. needs: NAME`` before an example names a module that it needs, and
``.. invisible-code-block: python`` hides preparations from the reader.
"""

import doctest
import importlib
import io
import re
import textwrap
import warnings
from pathlib import Path

import pytest
import requests
from docutils import nodes
from docutils.core import publish_doctree

from dhis2kv import Store
from dhis2kv.emulator import Emulator

README = Path(__file__).parents[1] / "README.rst"
HEADING = re.compile(r"^(?P<title>\S.*)\n(?P<line>([=\-~^])\3+)$", re.M)
BLOCK = re.compile(
    r"^\.\. (?:needs: (?P<needs>.+)|(?:invisible-)?code-block:: ?python\n(?:\s*\n)?(?P<code>(?:(?: {4}.*)?\n)+))"
    r"|^\.\. invisible-code-block: python\n(?:\s*\n)?(?P<hidden>(?:(?: {4}.*)?\n)+)",
    re.M,
)


def sections():
    """Title and examples of each section that has any: (code, modules that it needs, its line)."""
    text = README.read_text(encoding="utf-8") + "\n"
    heads = [match for match in HEADING.finditer(text) if len(match["line"]) >= len(match["title"])]
    for head, end in zip(heads, [*(match.start() for match in heads[1:]), len(text)], strict=True):
        examples, needs = [], []
        for block in BLOCK.finditer(text, head.end(), end):
            if block["needs"]:
                needs = [name.strip() for name in block["needs"].split(",")]
                continue
            code = textwrap.dedent(block["code"] or block["hidden"])
            examples.append((code, needs, text.count("\n", 0, block.start()) + 2))
            needs = []
        if examples:
            yield pytest.param(examples, id=head["title"])


@pytest.fixture(scope="module")
def page():
    """The README as docutils reads it, and what docutils has to say about it."""
    said = io.StringIO()
    settings = {"warning_stream": said, "report_level": 2, "syntax_highlight": "none", "toc_backlinks": "none"}
    return publish_doctree(README.read_text(encoding="utf-8"), settings_overrides=settings), said.getvalue()


def test_the_readme_is_restructured_text(page):
    """docutils finds no fault in it: no broken table, no link to what is not there, no two sections of one name."""
    document, said = page
    assert said == ""
    assert not list(document.findall(nodes.system_message))


def test_the_contents_are_at_the_top_and_lead_to_every_section(page):
    """Before the first section stand contents, whose links are all sections of the page, in their order."""
    document, _ = page
    contents = next(topic for topic in document.findall(nodes.topic) if "contents" in topic["classes"])
    links = [link["refid"] for link in contents.findall(nodes.reference)]
    assert links == [section["ids"][0] for section in document.children if isinstance(section, nodes.section)]
    assert isinstance(contents.parent, nodes.document)
    assert len(links) > 10


def test_every_section_and_table_can_be_linked_to(page):
    """Each section has an address made of its title, and each table one of the label that stands before it."""
    document, _ = page
    for section in document.findall(nodes.section):
        assert nodes.make_id(section.next_node(nodes.title).astext()) in section["ids"]
    for table in document.findall(nodes.table):
        assert table["names"], f"no label before the table that begins {table.astext()[:40]!r}"


@pytest.mark.parametrize("examples", list(sections()))
def test_the_examples_of_a_section_run(examples, monkeypatch, tmp_path):
    """The examples of this section do what the README says."""
    emulator = Emulator()
    emulated = emulator.session().get_adapter("https://dhis2.example.org")
    real = requests.adapters.HTTPAdapter.send

    def send(self, request, **options):
        if request.url.startswith("https://dhis2.example.org/"):
            return emulated.send(request, **options)
        return real(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    monkeypatch.chdir(tmp_path)
    store = Store("https://dhis2.example.org", auth=("admin", "district"))
    names = {"Store": Store, "store": store, "__name__": "readme"}
    for code, needs, line in examples:
        for module in needs:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what a framework thinks of its own dependencies
                    importlib.import_module(module)
            except ModuleNotFoundError as missing:
                pytest.skip(f"line {line} needs {missing.name}")
        if ">>>" in code:
            example = doctest.DocTestParser().get_doctest(code, names, "README.rst", "README.rst", line)
            report = []
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            failed = runner.run(example, out=report.append, clear_globs=False).failed
            names.update(example.globs)
            assert not failed, "".join(report)
        else:
            exec(compile("\n" * line + code, "README.rst", "exec"), names)
