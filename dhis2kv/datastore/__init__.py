"""The flat accessor: every operation on the two data stores, one method each.

The methods check names and values and say what they do; the rooms behind them do it: ``reading``, ``writing``,
``parts`` (of values), ``shared`` and ``access`` (who may read), over ``creating`` and ``anew`` (what cannot be updated,
or must not be open), ``many`` (several at a time) and ``server`` (calls that reach what they name). They import errors,
wire, releases and transport.

Here since what can be done with the two stores is read in one place, whoever does it. ``Datastore`` is longer than
other classes since it is that list: one short method an operation, with all that its user has to know in the docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, overload

from dhis2kv import errors, wire
from dhis2kv.datastore.access import Access, no_sharing
from dhis2kv.datastore.anew import Maker
from dhis2kv.datastore.another import OtherAccount
from dhis2kv.datastore.creating import Creator
from dhis2kv.datastore.many import Progress
from dhis2kv.datastore.parts import PartWriter, check_path
from dhis2kv.datastore.reading import Reader
from dhis2kv.datastore.search import Search, Searcher
from dhis2kv.datastore.server import Names, Server, names_of, new_names_of, store_of
from dhis2kv.datastore.shared import SharedEntries
from dhis2kv.datastore.writing import Writer
from dhis2kv.releases import Version
from dhis2kv.transport import Transport
from dhis2kv.wire import Query
from dhis2kv.wire.conditions import Condition
from dhis2kv.wire.sharing import Metadata, Sharing

__all__ = ["Datastore", "Metadata", "Progress", "Sharing", "no_sharing"]


class Datastore(SharedEntries):
    """Both data stores of one server, as one account; ``user=True`` means the account's own ``userDataStore``.

    Names are checked before anything is sent: ``InvalidKey`` (a ``KeyError`` and a ``ValueError``) for those no server
    can hold. Besides what each method says, any may raise ``NotAuthenticated``, ``Forbidden``, ``Rejected``,
    ``ServerError``, ``Unreachable`` and ``TimedOut``, and ``Unaddressable`` for names like ``config.json`` where a
    proxy rewrites them (found out by one more request, once, before the first such name). Any number of threads may
    use one accessor. Nothing is cached here.

    :param transport: the conversation with the server.
    :param workers: how many requests the methods for many keys have under way at a time. Four write three times as
        fast as one to a live 2.42, and sixteen no faster than four.
    :param read_back: read each value back after writing it, for one request more; raises ``NotStored``.
    :param read_only: refuse every write with ``ReadOnly``, before a request.
    :param default: called with what is no JSON in a value to be stored, as by ``json.dumps``: it returns what is stored
        in its place, or raises ``TypeError``.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        workers: int = 4,
        read_back: bool = False,
        read_only: bool = False,
        default: Callable[[Any], Any] | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError("workers is at least 1")
        self.transport, self.workers, self.read_back, self.read_only = transport, workers, read_back, read_only
        self._default = default
        self._server = Server(transport)
        self._reader = Reader(self._server, workers)
        self._access = Access(self._server)
        self._creator = Creator(self._server, self._reader)
        maker = Maker(self._server, self._reader, self._creator, self._access)
        self._writer = Writer(self._server, self._creator, maker, read_back=read_back)
        self._searcher = Searcher(self._server, self._reader)
        self._parts = PartWriter(self._server, self._reader, self._creator, maker, self._writer)

    def __repr__(self) -> str:
        account = self.transport.account
        whose = f" userDataStore of {self.transport.username}" if isinstance(self.transport, OtherAccount) else ""
        return f"<{type(self).__name__} {self.transport.base}{whose}{f' as {account}' if account else ''}>"

    def of(self, username: str) -> Datastore:
        """The same accessor, whose ``user=True`` is the own store of another account; for superusers. Sends nothing.

        Its first call costs two requests more. Raises ``Rejected`` then where the server is older than 2.38.1 and would
        answer with one's own data, where the account is no superuser, and where there is no account of that name.
        """
        if not isinstance(username, str) or not username.strip():
            raise ValueError("whose store? A server takes an empty username for one's own")
        options: Any = {"workers": self.workers, "read_back": self.read_back, "read_only": self.read_only}
        plain = self.transport.plain if isinstance(self.transport, OtherAccount) else self.transport
        transport: Any = OtherAccount(plain, Server(plain), username)  # a Transport in all it does
        return Datastore(transport, **options, default=self._default)

    # --- what the reference client has --------------------------------------------------------------------------------

    def list_namespaces(self, *, user: bool = False) -> list[str]:
        """The names of all namespaces, sorted by code point; one request."""
        return sorted(self._server.call("GET", store_of(user)).names())

    def list_keys(self, namespace: str, *, user: bool = False) -> list[str]:
        """The keys of a namespace, sorted by code point; one request.

        Raises ``KeyNotFound`` when there is no such namespace.
        """
        return self._reader.keys(_space(user, namespace))

    def get(self, namespace: str, key: str, *, user: bool = False) -> Any:
        """The value of an entry; one request. Raises ``KeyNotFound`` when it is absent.

        Integers come with every digit, other numbers as floats. Raises ``Unreadable`` for a value that Python cannot
        hold: ``get_text`` gives its text.
        """
        return self._reader.entry(names_of(user, namespace, key))

    def _get_with_text(self, namespace: str, key: str, *, user: bool) -> tuple[Any, str]:
        """The value of an entry, and its JSON text, from one reading: for a cache, which keeps the text."""
        return self._reader.entry_and_text(names_of(user, namespace, key))

    def get_text(self, namespace: str, key: str, *, user: bool = False) -> str:
        """The JSON text of an entry, as the server spells it just now; one request.

        The same value has several spellings, on one server within seconds: never compare texts. Raises ``KeyNotFound``
        when it is absent.
        """
        return self._reader.text(names_of(user, namespace, key))

    def exists(self, namespace: str, key: str, *, user: bool = False) -> bool:
        """Whether an entry exists, without moving its value; one request. False for a name that no server can hold.

        A token that is limited to GET costs one more, the first time, and the value is moved.
        """
        try:
            names = names_of(user, namespace, key)
        except errors.InvalidKey:
            return False
        return self._reader.exists(names)

    def set(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        """Create or update an entry; one request, two for a new key before 2.38.5, 2.39.3 and 2.40.1.

        In the user store an existing entry costs three, until the version of the server is known: on 2.41.0 to 2.41.9,
        2.42.0 to 2.42.5 and 2.43.0 an update writes that entry of every account (DHIS2-21740). So entries are created
        there; where there is one, the version is asked, once, and either it is updated, for one request from then on,
        or deleted and created anew, for three each time, which is not atomic, as with ``encrypt``.

        With ``encrypt=True`` the entry is created encrypted, for one request. An existing one that is encrypted already
        is encrypted anew where it lies on servers up to 2.40, if a bulk read tells that it is. Any other is deleted and
        created, with the sharing it had, for four requests, and seven to nine where that is not DHIS2's default, for a
        server from 2.41 on that is told to update an encrypted entry keeps the old value and lays the new one open.
        That is not atomic: readers may find nothing meanwhile, the new entry is open for the two requests until it is
        closed, and its owner is who wrote last. When one of the steps fails, the error says what the state is. Without
        ``encrypt`` nothing warns that an entry is encrypted, but ``read_back``.

        With ``sharing`` an entry that is created is closed before its value is there, for five requests: it is created
        with null, shared, and then set. Where it is to be encrypted, on 2.41 and later, that cannot be: it is open for
        two requests then, and deleted again if it cannot be closed. An entry that is there keeps the sharing it has.

        Raises ``InvalidValue`` for what JSON or the server cannot keep, for more than 159 bytes of JSON that are to be
        encrypted, and for users and groups that do not exist; ``NotStored`` when reading back says so, and ``Changed``
        when somebody else stored a value between the halves.
        """
        names = new_names_of(user, namespace, key)
        text = self.dumps(value, encrypt=encrypt)
        self.check_writable()
        self._writer.write(names, text, encrypt, self._given(user, sharing))

    def delete(self, namespace: str, key: str, *, user: bool = False) -> None:
        """Delete an entry; one request, and one to look for it where the answer was lost.

        Raises ``KeyNotFound`` when it is absent. It is not sent again after an answer that was lost, for somebody may
        have created the entry anew: where there is one then, the error says that it is not known which.
        """
        self.check_writable()
        self._creator.delete(names_of(user, namespace, key))

    def delete_namespace(self, namespace: str, *, user: bool = False) -> None:
        """Delete a namespace with all its entries; one request, and one to look for it where the answer was lost.

        Raises ``KeyNotFound`` when there is none; in the user store, servers before 2.40.1 do not tell.
        """
        self.check_writable()
        self._creator.delete(_space(user, namespace))

    # --- one entry ----------------------------------------------------------------------------------------------------

    def create(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        """Create an entry, atomically; one request. Raises ``KeyExists`` when there is one, which stays as it is.

        With ``sharing`` it is closed before its value is there; that costs, and is not atomic, as ``set`` says.
        """
        names = new_names_of(user, namespace, key)
        text = self.dumps(value, encrypt=encrypt)
        self.check_writable()
        self._writer.create(names, text, encrypt, self._given(user, sharing))

    def patch(self, namespace: str, key: str, path: str, value: Any, *, user: bool = False) -> None:
        """Set the member at a dotted path (``"a.b"``, ``"list.0"``) of a value, atomically; three requests.

        Needs a server of 2.41 or later, in the user store 2.41.10, 2.42.6 or 2.43.1: older ones would store the
        fragment as the whole value, or in every account's entry. So the version is asked for first, once. The entry is
        read before, for the server creates an absent one from the fragment, and read again after, for a path that does
        not exist changes nothing there, without a word. Raises ``NotStored`` for that, ``KeyNotFound``, and
        ``InvalidValue`` for a path that is not names and numbers between dots.
        """
        names = new_names_of(user, namespace, key)
        text = self.dumps(value)
        check_path(path)
        self.check_writable()
        self._parts.patch(names, path, text)

    def roll(
        self, namespace: str, key: str, value: Any, keep: int, *, user: bool = False, sharing: Sharing | None = None
    ) -> None:
        """Append to a list, atomically, and keep its last ``keep`` items; two requests, three for an absent key.

        Needs a server of 2.41 or later, as ``patch`` does. The server drops one item at most, so that a list that is
        longer than ``keep`` already stays as long as it is. An absent key is first created as an empty list, for the
        server would store the bare value; anything but a list is refused after a look with ``InvalidValue``, for the
        server would replace it. Never repeated once it was sent: an error whose ``sent`` is true says what is not
        known. Raises ``NotStored`` where the list was deleted meanwhile, or when reading back says so.
        """
        names = new_names_of(user, namespace, key)
        text = self.dumps(value)
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise errors.InvalidValue(f"keep is a whole number of at least 1, not {keep!r}")
        self.check_writable()
        self._parts.roll(names, text, keep, self._given(user, sharing))

    # --- many entries -------------------------------------------------------------------------------------------------

    @overload
    def get_all(self, namespace: str, *, user: bool = ..., texts: Literal[True]) -> dict[str, str]: ...
    @overload
    def get_all(self, namespace: str, *, user: bool = ..., texts: Literal[False] = ...) -> dict[str, Any]: ...

    def get_all(self, namespace: str, *, user: bool = False, texts: bool = False) -> dict[str, Any]:
        """Every entry of a namespace, ``{key: value}`` sorted by key; {} when there is no such namespace.

        One request, and one more when there are nulls among the values, and one for each entry that bulk reads hide
        (encrypted ones). The answer comes from one statement of the server's database, so that it is consistent, but
        for those hidden. Where a server has no bulk read (dataStore before 2.38, userDataStore before 2.40.1), or
        cannot give a certain one, it is the listing and a request per key, several at a time. ``texts`` gives JSON
        texts. What cannot be read is left out, with a warning in the log: values that Python cannot hold (their texts
        can be had), and keys that no address leads to.
        """
        return self._reader.all(_space(user, namespace), texts)

    @overload
    def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = ..., texts: Literal[True]
    ) -> dict[str, str]: ...
    @overload
    def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = ..., texts: Literal[False] = ...
    ) -> dict[str, Any]: ...

    def get_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = False, texts: bool = False
    ) -> dict[str, Any]:
        """The entries of these keys, ``{key: value}`` in their order; absent ones are left out.

        One request per some 3,000 bytes of keys, and more as ``get_all`` says; keys that a filter cannot name (with
        spaces, commas, brackets and the like) cost one each. ``texts`` gives JSON texts.
        """
        if isinstance(keys, str):
            raise TypeError("keys is several keys, not one text, which would be taken for its characters")
        return self._reader.some(_space(user, namespace), keys, texts)

    @overload
    def find(
        self,
        namespace: str,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = ...,
        order: str | None = ...,
        limit: int | None = ...,
        any: bool = ...,
        user: bool = ...,
        encrypt: bool = ...,
        explain: Literal[False] = ...,
    ) -> dict[str, Any]: ...
    @overload
    def find(
        self,
        namespace: str,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = ...,
        order: str | None = ...,
        limit: int | None = ...,
        any: bool = ...,
        user: bool = ...,
        encrypt: bool = ...,
        explain: Literal[True],
    ) -> str: ...

    def find(
        self,
        namespace: str,
        *conditions: Condition | str,
        fields: str | Iterable[str] | None = None,
        order: str | None = None,
        limit: int | None = None,
        any: bool = False,
        user: bool = False,
        encrypt: bool = False,
        explain: bool = False,
    ) -> dict[str, Any] | str:
        """The entries of a namespace that meet all conditions (``any=True``: at least one), ``{key: value}``.

        A condition is ``where("age") > 30`` or DHIS2's own ``"age:gt:30"``. Sorted by key, or by ``order``, a dotted
        path with ``:asc`` or ``:desc``: numbers before texts, numbers by size, texts by code point, ties by key, and
        entries without the part last. With ``fields`` (paths, a list or a text with commas) a value is only those
        parts, nested as they are; what an entry lacks is left out. Only the first ``limit`` are given; they are sorted
        and cut here, from all that were found.

        One request, whose answer is what was found, where the server understands the conditions; else the answer is
        what could be found, at most all entries, and the rest is decided here, with the same meaning: for texts that
        come before or after others, lists and objects, member names other than letters, digits, ``_`` and ``-``,
        texts with ``~``, ``@``, ``::``, commas or brackets, numbers from 2^31 on or below 0. ``explain=True`` says
        which it is and sends nothing; the log says it, too. What ``get_all`` says comes on top, and with ``fields``
        one request for each that some entry lacks, and one where an entry lacks all of them. Where a server has no
        queries it costs what ``get_all`` costs.

        No server looks into entries that are stored encrypted. They are found by their keys; by their values only
        with ``encrypt=True``, which reads all entries. Without it a warning in the log says so, once.
        """
        search = Search.of(conditions, fields, order, limit, any)
        space = _space(user, namespace)
        if explain:
            return self._searcher.explain(search, encrypt)
        return self._searcher.find(space, search, encrypt)

    def query(self, namespace: str, query: Query, *, user: bool = False) -> list[dict[str, Any]]:
        """What a server with bulk reads answers to a query, as a list of objects; one request.

        Each has the real ``key`` of its entry, whatever other keys hold. An entry that Python cannot hold is left out,
        with a warning in the log. Raises ``Rejected`` where the server has no bulk reads, ``ServerError`` where its
        answer is not certain, and ``Unaddressable`` for the namespace ``protections`` from 2.42 on, whose address is
        another route.
        """
        return self._reader.query(_space(user, namespace), query)

    def query_text(self, namespace: str, query: Query, *, user: bool = False) -> str:
        """The JSON text of what ``query`` answers, also of what Python cannot hold; one request."""
        return self._reader.query_text(_space(user, namespace), query)

    def set_many(
        self,
        namespace: str,
        entries: Mapping[str, Any],
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Create or update many entries, several at a time; one request each.

        Everything is checked before the first is sent. ``progress(done, total)`` is called after each, in the calling
        thread. Raises ``BulkError``, which names what was done, what failed and why, and what was not tried.
        """
        texts = {
            new_names_of(user, namespace, key): self.dumps(value, encrypt=encrypt) for key, value in entries.items()
        }
        self.check_writable()
        given = self._given(user, sharing)
        self._each([(list(texts), lambda names: self._writer.write(names, texts[names], encrypt, given))], progress)

    def replace(
        self,
        namespace: str,
        entries: Mapping[str, Any],
        *,
        user: bool = False,
        encrypt: bool = False,
        sharing: Sharing | None = None,
    ) -> None:
        """Make a namespace equal to a mapping: read it, write what differs, then delete what is too much.

        Costs what ``get_all`` does, and one request per difference, several at a time. Everything is checked before
        the first is sent. Raises ``BulkError`` as ``set_many`` does; nothing is deleted before all writes are done.
        Raises ``Unreadable``, and changes nothing, where an entry that would be deleted cannot be read: ``get_all``
        leaves such an entry out, so that writing back what it gave would lose it.
        """
        texts = {
            new_names_of(user, namespace, key): self.dumps(value, encrypt=encrypt) for key, value in entries.items()
        }
        self.check_writable()
        now, left_out = self._reader.whole(_space(user, namespace), texts=True)
        surplus = [names_of(user, namespace, key) for key in now if key not in entries]
        lost = [key for key in left_out if key not in entries] + [key for _, _, key in surplus if not _held(now[key])]
        if lost:
            raise errors.Unreadable(
                f"{namespace} holds entries that cannot be read, and would be deleted: {', '.join(map(repr, lost))};"
                " nothing was written. Delete them first, or give them values"
            )
        changed = [names for names, text in texts.items() if names[2] not in now or not _holds(now[names[2]], text)]
        given = self._given(user, sharing)
        write = (changed, lambda names: self._writer.write(names, texts[names], encrypt, given))
        self._each([write, (surplus, self._creator.discard)], None)

    def delete_many(
        self, namespace: str, keys: Iterable[str], *, user: bool = False, progress: Progress | None = None
    ) -> None:
        """Delete many entries, several at a time; one request each. A key that is absent already counts as done.

        ``progress`` and ``BulkError`` are as in ``set_many``.
        """
        if isinstance(keys, str):
            raise TypeError("delete_many takes several keys, and would take a str for its letters: give it a list")
        everything = [names_of(user, namespace, key) for key in dict.fromkeys(keys)]
        self.check_writable()
        self._each([(everything, self._creator.discard)], progress)

    # --- the server ---------------------------------------------------------------------------------------------------

    def version(self) -> Version:
        """The server's version; one request, the first time.

        It compares like a tuple of its numbers, ``(2, 42, 5, 1) < (2, 42, 6)``; see ``Version``.
        """
        return self._server.version()

    def account(self) -> dict[str, Any]:
        """Who is signed in: ``{"id": ..., "username": ...}``, up to 2.37 without ``username``; one request."""
        return self._server.account()

    # --- beneath ------------------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Raise ``ReadOnly`` where nothing may be written; sends nothing."""
        if self.read_only:
            raise errors.ReadOnly("this store was opened with read_only=True; nothing was sent")

    def dumps(self, value: Any, *, encrypt: bool = False) -> str:
        """The JSON text of a value as it is sent; raises ``InvalidValue`` for what could not come back the same."""
        text = wire.dumps(value if self._default is None else wire.converted(value, self._default))
        if encrypt:
            wire.check_encryptable(text)
        return text

    def _texts(self, user: bool, namespace: str, entries: Mapping[str, Any], encrypt: bool) -> dict[Names, str]:
        """What is to be sent of several entries, by their names."""
        return {
            new_names_of(user, namespace, key): self.dumps(value, encrypt=encrypt) for key, value in entries.items()
        }


def _space(user: bool, namespace: str) -> Names:
    return store_of(user), wire.check_name(namespace, "namespace")


def _held(text: str) -> bool:
    """Whether Python can hold the value of a stored text."""
    try:
        wire.loads(text)
    except errors.Unreadable:
        return False
    return True


def _holds(stored: str, text: str) -> bool:
    """Whether a stored text is the same JSON as one that is to be written."""
    return _held(stored) and wire.same(wire.loads(stored), wire.loads(text))
