"""A law over accounts, a group, and whatever they do: nobody ever reads a value that its sharing did not give them."""

import io

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhis2kv import Forbidden, KeyNotFound, Query, Sharing, snapshot
from dhis2kv.emulator import Emulator
from tests.conftest import connect

ACCOUNTS = {"alice": "Alice_pw_1!", "bob": "Bob_pw_123!"}
GROUP = {"alice"}
KEYS = ("a", "b")
SPACES = ("app", "copy")
RELEASES = ["2.39", "2.39.5", "2.40", "2.40.3", "2.41.0", "2.41", "2.42.5", "2.42", "2.43", "2.44"]

accesses = st.sampled_from(["rw", "r", ""])
accounts = st.sampled_from(sorted(ACCOUNTS))
keys = st.sampled_from(KEYS)
users = st.dictionaries(accounts, accesses, max_size=2)
groups = st.dictionaries(st.just("Team"), accesses)
sharings = st.builds(Sharing, accesses, users, groups) | st.just(Sharing.private())


class Held:
    """An entry, as it should be: its value, whether it is encrypted, and who may do what."""

    def __init__(self, value, encrypted, owner, sharing):
        self.value, self.encrypted, self.owner, self.sharing = value, encrypted, owner, sharing

    def may(self, account, letter):
        given = [self.sharing.public, self.sharing.users.get(account, "--")]
        if account in GROUP:
            given.append(self.sharing.groups.get("Team", "--"))
        return account == self.owner or any(letter in access for access in given)

    @property
    def readers(self):
        return {account for account in ACCOUNTS if self.may(account, "r")}


class Secrets(RuleBasedStateMachine):
    """After each request that reaches the server, everybody looks at everything."""

    @initialize(release=st.sampled_from(RELEASES))
    def begin(self, release):
        self.emulator = Emulator(release)
        for name, password in ACCOUNTS.items():
            self.emulator.add_user(name, password)
        self.emulator.add_group("Team", GROUP)
        self.stores, self.lookers = (
            {name: connect(self.emulator, (name, password), workers=1) for name, password in ACCOUNTS.items()}
            for _ in range(2)
        )
        self.entries, self.allowed, self.count = {}, {}, 0
        self.trail, self.looking = [], False
        self.late = release >= "2.41"  # where an encrypted value must be there when its entry is created
        self.emulator.deliver = self.deliver

    def deliver(self, request):
        reply = Emulator.deliver(self.emulator, request)
        if not self.looking:
            self.looking = True
            self.trail.append((request.method, request.target))
            try:
                self.look()
            finally:
                self.looking = False
        return reply

    def look(self):
        for name, store in self.lookers.items():
            for space in SPACES:
                for value in self.seen(store, space):
                    if value in self.allowed and name not in self.allowed[value]:
                        assert self.is_window(), f"{name} reads {value} after {self.trail}"

    def seen(self, store, space):
        for read in (
            lambda: [row["value"] for row in store.datastore.query(space, Query(include_all=False))],
            *(lambda key=key: [store[space][key]] for key in KEYS),
        ):
            try:
                yield from read()
            except (Forbidden, KeyNotFound):
                continue

    def is_window(self):
        """Whether an encrypted entry has just been created, and is about to be closed: one request may come between."""
        return self.late and any("encrypt=true" in target for _, target in self.trail[-2:])

    def new_value(self, readers):
        self.count += 1
        value = f"secret {self.count}"
        self.allowed[value] = set(readers)
        return value

    # --- what they do -------------------------------------------------------------------------------------------------

    @rule(account=accounts, key=keys, encrypt=st.booleans(), sharing=sharings | st.none())
    def write(self, account, key, encrypt, sharing):
        """Create an entry, with a sharing or as DHIS2 does, or write over one, encrypted or not."""
        held = self.entries.get(("app", key))
        ns = self.stores[account].namespace("app", encrypt=encrypt, sharing=sharing)
        self.trail.clear()
        if held is None:
            made = Held(None, encrypt, account, sharing or Sharing())
            made.value = self.new_value(made.readers)
            ns[key] = made.value
            self.entries["app", key] = made
            return
        if not (held.may(account, "w") and held.may(account, "r")):
            value = self.new_value([])
            try:
                ns[key] = value
            except Forbidden:
                return
            raise AssertionError("who may not write wrote")
        if held.encrypted and not encrypt:
            return  # from 2.41 on that lays the new value open, as README says
        owner = account if encrypt and (self.late or not held.encrypted) else held.owner
        made = Held(None, encrypt, owner, held.sharing)
        made.value = self.new_value(made.readers)
        ns[key] = made.value
        self.entries["app", key] = made

    @rule(account=accounts, key=keys, sharing=sharings)
    def share(self, account, key, sharing):
        """Share an entry in another way."""
        held = self.entries.get(("app", key))
        if held is None or not (held.may(account, "w") and held.may(account, "r")):
            return
        held.sharing = sharing
        self.allowed[held.value] |= held.readers
        self.trail.clear()
        self.stores[account]["app"].share(
            key, public=sharing.public, users=dict(sharing.users), groups=dict(sharing.groups)
        )

    @rule(account=accounts, key=keys)
    def delete(self, account, key):
        """Delete an entry."""
        held = self.entries.get(("app", key))
        if held is None or not (held.may(account, "w") and held.may(account, "r")):
            return
        self.trail.clear()
        del self.stores[account]["app"][key]
        del self.entries["app", key]

    @rule(account=accounts, by_file=st.booleans())
    def copy(self, account, by_file):
        """Copy what an account can read into a namespace that does not exist, at once or by an export and an import."""
        self.looking = True
        connect(self.emulator)["copy"].clear()
        self.looking = False
        self.entries = {place: held for place, held in self.entries.items() if place[0] == "app"}
        source = {key: held for (_, key), held in self.entries.items() if held.may(account, "r")}
        if not source:
            return
        store = self.stores[account]
        self.trail.clear()
        entries = list(snapshot.read(store, ["app"], sharing=True))
        assert {entry.key for entry in entries} == source.keys()
        if by_file:
            file = io.StringIO()
            snapshot.dump(file, {"dataStore": entries})
            entries = snapshot.load(io.StringIO(file.getvalue()))["dataStore"]
        moved = [entry._replace(namespace="copy") for entry in entries]
        for entry in entries:
            made = Held(entry.value, bool(entry.encrypted), account, source[entry.key].sharing)
            self.entries["copy", entry.key] = made
            self.allowed[entry.value] |= made.readers
        snapshot.apply(store, snapshot.plan(store, moved))

    @invariant()
    def all_is_as_it_should_be(self):
        """Who may read an entry gets its value, and its sharing is what it was made, or shared, with."""
        if not hasattr(self, "entries"):
            return
        self.looking = True
        for (space, key), held in self.entries.items():
            for name, store in self.lookers.items():
                try:
                    found = store[space][key]
                except Forbidden:
                    found = None
                assert found == (held.value if name in held.readers else None)
            reader = next((name for name in sorted(held.readers)), None)
            if reader:
                now = self.lookers[reader][space].sharing(key)
                assert (now, now.owner) == (held.sharing, held.owner)
        self.looking = False


TestSecrets = Secrets.TestCase
TestSecrets.settings = settings(max_examples=40, stateful_step_count=12)
