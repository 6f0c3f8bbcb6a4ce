"""Names and values drawn at random, the odd ones more often than chance would have it."""

import string
import sys

NASTY = " .,:;@~+*?#&=()[]{}<>|^`'!$é日😀\u0301\u200f\u00a0-_\""
WORDS = ("keys", "protections", "metaData", "config", "null", "true", "CON", "NUL.txt", "con", "loginConfig", "account")
SUFFIXES = ("", ".json", ".csv", ".xml", ".gz", ".", ".1", ".json.zip", " ")


def name(random, *, quoted=False):
    """A name that every server can hold; with quotation marks only where that is asked for."""
    length = random.choice((1, 2, 5, 20, 255 if random.random() < 0.1 else 8))
    alphabet = string.ascii_letters + string.digits + NASTY
    text = random.choice(WORDS) if random.random() < 0.3 else "".join(random.choices(alphabet, k=length))
    text = (text + random.choice(SUFFIXES))[:255]
    text = text if quoted else text.replace('"', "'")
    return "x" if text in ("", ".", "..") or (";" in text and text.replace(";", "") == "") else text.replace(";", "_")


def impossible(random):
    """A name that no server can hold."""
    bad = random.choice(("/", "\\", "%", ";", "\0", "\n", "\r", "\u2028", "\u2029", "\ud800"))
    return random.choice(("", ".", "..", "x" * 256, f"a{bad}b", bad, f"{bad}a"))


def value(random, depth=3):
    """A JSON value."""
    kind = random.randrange(9 if depth else 6)
    if kind == 0:
        return random.choice((None, True, False, "", 0, -0.0, [], {}))
    if kind == 1:
        return random.choice((random.getrandbits(random.choice((8, 31, 63, 400))) * random.choice((1, -1)),))
    if kind == 2:
        return random.choice((random.random(), 1e22, 1e-7, 5e-324, sys.float_info.max, -1.5, 1.0, 0.1 + 0.2))
    if kind in (3, 4, 5):
        return "".join(random.choices(string.printable + NASTY + "\u2028\x01\x7f", k=random.choice((0, 1, 9, 60))))
    if kind == 6:
        return [value(random, depth - 1) for _ in range(random.randrange(4))]
    return {text(random): value(random, depth - 1) for _ in range(random.randrange(4))}


def text(random):
    """The name of a member."""
    return "".join(random.choices(string.ascii_letters + NASTY, k=random.choice((0, 1, 4))))


def same(one, other):
    """Whether two values are the same, of the same types, in whatever order their members are; -0.0 is 0.0 there."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
