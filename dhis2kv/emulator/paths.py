"""From a raw request target to what the server takes it for: Tomcat, the firewall, the matching of paths.

Here since all three work on the path as it left the socket, each in its own way, and that is where names get lost:
Tomcat refuses what it may not decode, Spring Security's firewall refuses what could be read two ways, and the matching
cuts suffixes and slashes off the last segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from .messages import NoResource, Page
from .profiles import Profile

# Extensions that name a media type; all but the first make a JSON route answer 406.
EXTENSIONS = frozenset(
    {"json", "json.gz", "json.zip", "jsonp", "xml", "xml.gz", "xml.zip", "png", "pdf", "xls", "xlsx"}
    | {"csv", "csv.gz", "csv.zip", "adx.xml", "adx.xml.gz", "adx.xml.zip", "geojson"}
)

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
HEAD_LIMIT = 8192

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What Tomcat lets into a path and into a query: unreserved, sub-delims, ":", "@", "/", and "?" in a query.
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNDECODABLE = re.compile(r"%(?:2f|5c|00)", re.I)
_FIREWALL = re.compile(r"//|;|%3b|%25|%2e|%0a|%0d|%e2%80%a8|%e2%80%a9", re.I)
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?=/|$)")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")


@dataclass(frozen=True)
class Route:
    """A path below ``/api`` as one way of matching reads it.

    ``segments`` are decoded; ``forced`` is the extension that decides the media type instead of the Accept header.
    """

    segments: tuple[str, ...]
    forced: str | None = None


def decode_utf8(data: bytes) -> str:
    """Bytes as Java decodes UTF-8: what is no UTF-8 becomes U+FFFD, an encoded surrogate one of them."""
    return _SURROGATE.sub(b"\xef\xbf\xbd", data).decode("utf-8", "replace")


def decode_path(path: str) -> str:
    """A raw path, decoded."""
    return decode_utf8(unquote_to_bytes(path)) if "%" in path else path


def check(method: str, target: str, head_size: int, profile: Profile) -> tuple[str, str]:
    """The raw path and the raw query of a target; raises Page where Tomcat or the firewall refuses it."""
    if not _TOKEN.fullmatch(method) or head_size > HEAD_LIMIT:
        raise Page(400)
    absolute = re.match(r"https?://[^/?]*", target, re.I)
    path, _, query = target[absolute.end() if absolute else 0 :].partition("?")
    _check_tomcat(path or "/", query, profile)
    _check_firewall(method, path or "/", profile)
    return path or "/", query


def _check_tomcat(path: str, query: str, profile: Profile) -> None:
    refused = not _PATH.fullmatch(path) or not _QUERY.fullmatch(query) or _BAD_ESCAPE.search(path)
    if refused or _UNDECODABLE.search(path) or _leaves_root(path):
        raise Page(400)
    if profile.invalid_utf8_is_refused:
        try:
            unquote_to_bytes(path).decode("utf-8")
        except UnicodeDecodeError:
            raise Page(400) from None


def _leaves_root(path: str) -> bool:
    if ".." not in path and "%2" not in path:  # nearly always
        return False
    depth = 0
    for segment in path.split("/"):
        name = segment.split(";")[0].replace("%2e", ".").replace("%2E", ".")
        depth += -1 if name == ".." else 0 if name in ("", ".") else 1
        if depth < 0:
            return True
    return False


def _check_firewall(method: str, path: str, profile: Profile) -> None:
    if method not in METHODS or _FIREWALL.search(path) or _DOT_SEGMENT.search(path):
        raise Page(profile.firewall_status)


def below_api(path: str, profile: Profile) -> str | None:
    """What of a raw path follows ``/api`` or ``/api/NN``; None for a path elsewhere or of an unknown version."""
    if path != "/api" and not path.startswith("/api/"):
        return None
    rest = path[4:]
    numbered = re.match(r"/(\d{1,3})(?=/|$)", rest)
    if not numbered:
        return rest
    if int(numbered[1]) not in profile.api_versions:
        raise NoResource
    return rest[numbered.end() :]


def routes(rest: str, profile: Profile) -> list[Route]:
    """The readings of a path below ``/api``, in the order in which the server tries them."""
    slash = rest.endswith("/") and rest != "/"
    segments = rest.strip("/").split("/")
    return _any_suffix(rest, segments, slash) if profile.cuts_any_suffix else _registered_suffix(segments)


def _any_suffix(rest: str, raw: list[str], slash: bool) -> list[Route]:
    """Up to 2.43: whatever follows the last dot of the last segment goes, unless a slash ends the path."""
    forced = rest.partition(".")[2].lower()
    decoded = _decoded(raw)
    if not slash and "." in decoded[-1]:
        decoded = (*decoded[:-1], decoded[-1].rpartition(".")[0])
    return [Route(decoded, forced if forced in EXTENSIONS else None)]


def _registered_suffix(raw: list[str]) -> list[Route]:
    """From 2.44 on: what follows the first dot goes where it is exactly a registered extension."""
    stem, _, extension = raw[-1].partition(".")
    whole = Route(_decoded(raw))
    if extension not in EXTENSIONS:
        return [whole]
    kept = Route(whole.segments, extension)
    return [Route(_decoded([*raw[:-1], stem]), extension), kept] if stem else [kept]


def _decoded(raw: list[str]) -> tuple[str, ...]:
    return tuple(decode_path(segment) for segment in raw)


def parameters(query: str) -> list[tuple[str, str]]:
    """The query's parameters in order, decoded as Tomcat decodes them: ``+`` is a blank, bad escapes are left out."""
    found = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name and not _BAD_ESCAPE.search(part):
            found.append((_form(name), _form(value)))
    return found


def _form(text: str) -> str:
    return decode_utf8(unquote_to_bytes(text.replace("+", " ")))
