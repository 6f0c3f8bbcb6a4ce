"""Laws of snapshots: whatever a store holds, export and import, pull and push, and a copy make the same elsewhere."""

import io
import json
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhis2kv import Query, Sharing, errors, snapshot, wire
from dhis2kv.emulator import Emulator
from dhis2kv.snapshot import folder
from dhis2kv.wire import exact
from tests.conftest import connect


def writable(name):
    try:
        wire.check_new_key(name)
    except errors.InvalidKey:
        return False
    return name != "keys"  # servers have no address for its encrypted value


characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("aAbB.:é ")
names = st.text(characters, min_size=1, max_size=12).filter(writable)
namespaces = names.filter(lambda name: name not in ("protections", "METADATASTORE"))
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20).map(json.dumps)
values = st.recursive(
    numbers | texts | st.sampled_from(["null", "true", "false", "1e-7", "2E3"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.dictionaries(names, inner, max_size=3).map(
            lambda members: "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in members.items()) + "}"
        )
    ),
    max_leaves=6,
)
secrets = numbers | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(json.dumps)
sharings = st.sampled_from([None, Sharing.private(), Sharing("r"), Sharing("", {"alice": "r"}, {"Editors": "rw"})])
entries = st.tuples(values, st.just(False), sharings) | st.tuples(secrets, st.just(True), sharings)
contents = st.dictionaries(namespaces, st.dictionaries(names, entries, min_size=1, max_size=4), max_size=3)


def server():
    """A new server with an account and a group."""
    emulator = Emulator("2.42")
    emulator.add_user("alice", "Alice_pw_1!")
    emulator.add_group("Editors", ["alice"])
    return emulator


def filled(held, user):
    """A new server that holds this, in one of its stores."""
    emulator = server()
    store = connect(emulator)
    for namespace, members in held.items():
        for key, (text, secret, sharing) in members.items():
            emulator.load({namespace: {key: text}}, user=user, encrypted=secret, texts=True)
            if sharing and not user:
                store[namespace].share(key, public=sharing.public, users=sharing.users, groups=sharing.groups)
    return emulator


def seen(store):
    """Everything in a store with every digit, what is hidden from bulk reads, and who may read: by its own requests."""
    user = store.user is store
    found = {}
    for namespace in store.datastore.list_namespaces(user=user):
        bulk = {
            row["key"]: row["value"] for row in json.loads(store.datastore.query_text(namespace, Query(), user=user))
        }
        for key in store.datastore.list_keys(namespace, user=user):
            text = store.datastore.get_text(namespace, key, user=user)
            hidden = bulk[key] is None and text != "null"
            sharing = None if user else store[namespace].sharing(key)
            found[namespace, key] = (exact.printed(exact.loads(text)), hidden, sharing)
    return found


def by_file(source, target):
    file = io.StringIO()
    kind = "userDataStore" if source.user is source else "dataStore"
    snapshot.dump(file, {kind: snapshot.read(source, sharing=True)})
    snapshot.apply(target, snapshot.plan(target, snapshot.load(file)[kind]))


def by_copy(source, target):
    snapshot.apply(target, snapshot.Changes(snapshot.planned(target, snapshot.read(source, sharing=True))))


def by_folder(source, target):
    with tempfile.TemporaryDirectory() as place:
        folder.pull(source, place, secrets=True, sharing=True).carry_out()
        assert list(folder.status(source, place, sharing=True)) == []
        folder.push(target, place, to_other_server=True).carry_out()


@pytest.mark.parametrize("way", [by_file, by_copy, by_folder])
@settings(max_examples=60)
@given(held=contents, user=st.booleans())
def test_a_copy_is_equal(way, held, user):
    """Values with every digit, what is encrypted, and who may read it are on an empty server as on the first."""
    source, target = connect(filled(held, "admin" if user else None)), connect(server())
    if user:
        source, target = source.user, target.user
    way(source, target)
    before = seen(source)
    assert seen(target) == before
    assert len(before) == sum(map(len, held.values()))
    assert {place for place, (_, hidden, _) in before.items() if hidden} <= {
        (namespace, key) for namespace, members in held.items() for key, (_, secret, _) in members.items() if secret
    }
