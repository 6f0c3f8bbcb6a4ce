"""Completion in bash that quotes what it completes; imports nothing of ours.

Here since names of DHIS2 hold what a shell takes for its own, blanks and dollars among it, and click hands them over as
they are.
"""

from __future__ import annotations

import os
import re

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

_SOURCE = r"""%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(IFS=$'\n'; env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Bash's completion, with each name quoted as the word on the line was begun."""

    source_template = _SOURCE

    def format_completion(self, item: CompletionItem) -> str:
        """A line for the script: the kind, and the name as it belongs on the command line."""
        return f"{item.type},{quoted(item.value, _begun()[:1])}"


def quoted(name: str, quote: str) -> str:
    """A name as bash reads it back, within this quotation mark, or, where the word has none, outside of any."""
    if quote == "'":
        return name.replace("'", r"'\''")
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", name)
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name)


def _begun() -> str:
    """The word that is completed, as it was typed."""
    words = os.environ["COMP_WORDS"].split("\n")
    at = int(os.environ["COMP_CWORD"])
    return words[at] if at < len(words) else ""


add_completion_class(Bash)
