"""Who may read and change entries, as the accessor offers it; imports access, the pool and the names.

Here since it is a matter of its own: names and accesses are checked and looked up before anything is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dhis2kv.datastore.access import Access, no_sharing
from dhis2kv.datastore.many import Phase, Progress, each
from dhis2kv.datastore.server import Names, Server, names_of
from dhis2kv.wire.sharing import Grants, Metadata, Sharing, access


class SharedEntries:
    """The part of ``Datastore`` that is about sharing, and what else the shared store knows about its entries."""

    workers: int
    _server: Server
    _access: Access

    def check_writable(self) -> None:
        """Raise ``ReadOnly`` where nothing may be written; sends nothing."""
        raise NotImplementedError

    def metadata(self, namespace: str, key: str) -> Metadata:
        """What the shared store knows about an entry: its dates, who made it, who may read it; one request.

        And one for each user or group whom it is shared with and who was not met before, to know the name, and one for
        the server's time zone, once. The user store keeps no such thing. Raises ``KeyNotFound`` when it is absent.
        """
        return self._access.metadata(names_of(False, namespace, key))

    def sharing(self, namespace: str, key: str) -> Sharing:
        """Who may read and write an entry of the shared store; costs and raises as ``metadata`` does."""
        return self._access.sharing(names_of(False, namespace, key))

    def share(
        self,
        namespace: str,
        key: str,
        *,
        public: str | None = None,
        users: Mapping[str, str] | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> None:
        """Change who may read and write an entry: the parts that are given, each as a whole; the others stay.

        Three requests, for it is read back, one where nothing changes, and one for each user or group that is not given
        by its id, as ``"id:..."``. Raises ``InvalidValue`` before anything is changed where one does not exist, or
        where several groups have that name; ``NotStored`` where the server does not keep what it accepts, as with ids
        that do not exist; ``Forbidden`` for who may not write the entry. Where the server's release does not heed
        sharing when it reads, a warning in the log says so, once.
        """
        names = names_of(False, namespace, key)
        change = self._change(public, users, groups)
        self._server.reachable(names)
        change(names)

    def share_many(
        self,
        namespace: str,
        keys: Iterable[str],
        *,
        public: str | None = None,
        users: Mapping[str, str] | None = None,
        groups: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Change who may read and write many entries, as ``share`` does, several at a time.

        Users and groups are looked up once. ``progress`` and ``BulkError`` are as in ``set_many``.
        """
        if isinstance(keys, str):
            raise TypeError("share_many takes several keys, and would take a str for its letters: give it a list")
        everything = [names_of(False, namespace, key) for key in dict.fromkeys(keys)]
        self._each([(everything, self._change(public, users, groups))], progress)

    def known(self, sharing: Sharing) -> tuple[Sharing, list[str]]:
        """The part of a sharing whose users and groups exist on this server, and of each other one a sentence.

        One request for each name, which ids need not; of those nothing is known.
        """
        return self._access.known(sharing)

    def protections(self) -> list[dict[str, Any]] | None:
        """The protected namespaces of the shared store, as the server tells them; one request, and the version's.

        None on servers before 2.42, which do not tell. Raises ``Forbidden`` for accounts that may not manage apps.
        """
        return self._access.protections()

    # --- beneath ------------------------------------------------------------------------------------------------------

    def _change(
        self, public: str | None, users: Mapping[str, str] | None, groups: Mapping[str, str] | None
    ) -> Callable[[Names], None]:
        """What changes the sharing of an entry so, after users and groups were looked up."""
        wanted = None if public is None else access(public)
        self.check_writable()
        users_by_id, groups_by_id = self._access.resolved(users, groups)
        return lambda names: self._access.share(names, wanted, users_by_id, groups_by_id)

    def _given(self, user: bool, sharing: Sharing | None) -> Grants | None:
        """The sharing of what is to be created, by ids."""
        if sharing is None:
            return None
        if user:
            raise no_sharing()
        return self._access.grants_of(sharing)

    def _each(self, phases: list[Phase], progress: Progress | None) -> None:
        each(self._server, self.workers, phases, progress)
