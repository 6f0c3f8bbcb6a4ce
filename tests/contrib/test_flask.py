"""Flask's configuration."""

import pytest

from tests.conftest import sent

flask = pytest.importorskip("flask")


@pytest.mark.parametrize(("way", "requests"), [("copy", 1), ("as it is", 4)])
def test_from_mapping(emulator, store, load, way, requests):
    """``from_mapping`` takes the upper-case keys: of a copy for one request, of the namespace for one per key and one
    more."""
    load(SECRET_KEY="s", MAX_CONTENT_LENGTH=1024, lower="left out")
    app = flask.Flask("test")
    app.config.from_mapping(store["app"].copy() if way == "copy" else store["app"])
    assert app.config["SECRET_KEY"] == app.secret_key == "s"
    assert app.config["MAX_CONTENT_LENGTH"] == 1024
    assert "lower" not in app.config
    assert len(sent(emulator)) == requests


def test_from_object_is_a_trap(emulator, store, load):
    """``from_object`` looks at attributes, which a namespace has none of: nothing is loaded and nothing is said."""
    load(SECRET_KEY="s")
    app = flask.Flask("test")
    app.config.from_object(store["app"])
    assert app.config["SECRET_KEY"] is None
    assert sent(emulator) == []


def test_only_named_settings_come_from_the_store(emulator, store, load):
    """``get_many`` takes the settings that the program names, for one request: no other entry sets anything."""
    load(THEME="{{ config }}", SECRET_KEY="theirs", DEBUG=True, SESSION_COOKIE_DOMAIN="evil.example.org", __class__=1)
    app = flask.Flask("test")
    before = dict(app.config)
    app.config.from_mapping(store["app"].get_many(["THEME", "MAX_CONTENT_LENGTH"]))
    assert dict(app.config) == before | {"THEME": "{{ config }}"}
    assert len(sent(emulator)) == 1
    with app.app_context():
        assert flask.render_template_string("{{ config.THEME }}") == "{{ config }}"
