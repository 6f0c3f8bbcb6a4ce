"""What differs between the DHIS2 versions that the emulator can be: facts with names, one profile per version.

Here since behaviour reads a fact (``profile.put_creates``) and never compares versions, so that what a version does can
be read in one place, and a new version is a new row. It is longer than other modules since it is a table, a line a
fact. These are the tips of the release branches; what earlier releases of a line did otherwise is in ``releases``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

JSON_UTF8 = "application/json;charset=UTF-8"
JSON = "application/json"


@dataclass(frozen=True)
class Texts:
    """What one store says; every text is a format of ``ns`` and ``key``."""

    key_missing: str = "Key '{key}' not found in namespace '{ns}'"
    namespace_missing: str = "Namespace not found: '{ns}'"
    key_exists: str = "Key '{key}' already exists in namespace '{ns}'"
    invalid_json: str = "Invalid JSON value for key '{key}'"
    created: str = "Key created: '{key}'"
    updated: str = "Key updated: '{key}'"
    deleted: str = "Key '{key}' deleted from namespace '{ns}'"
    namespace_deleted: str = "Namespace deleted: '{ns}'"
    codes: tuple[str, ...] = ("E1003", "E1004", "E1005")  # the error codes that come with them


@dataclass(frozen=True)
class Protection:
    """A namespace that the server guards, for reading and for writing: ``NONE``, ``RESTRICTED`` or ``HIDDEN``."""

    namespace: str
    reads: str
    writes: str
    authorities: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """The facts of one version. The defaults are those of the newest; the older ones say where they differ."""

    version: str
    release: str  # as the server names it
    build_day: str
    revision: str
    api_versions: range

    # Tomcat, the firewall, and how a path finds its handler
    invalid_utf8_is_refused: bool = True
    firewall_status: int = 400
    head_has_length: bool = True
    cuts_any_suffix: bool = True  # of the last segment; else only a registered one
    slashed_get_is_no_store: bool = False  # a path that ends with a slash has no ETag
    wrong_context_redirects: bool = True
    root_location: str = "{base}/apps/"

    # The shape of messages
    error_type: str = JSON
    read_denied_code: str | None = "E1006"
    errors_are_always_private: bool = False  # even where a list had said no-store
    xml_messages: bool = False  # messages to clients that take XML and no JSON
    messages_follow_accept: bool = True  # a client that takes neither gets a 406 page
    method_text: str = "Request method '{method}' is not supported"
    content_type_text: str = "Content-Type '{type}' is not supported"
    content_type_missing_text: str = "Content-Type is not supported"
    unmanaged_sharing_code: str | None = "E1006"
    json_source: str = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
    json_error_is_after_token: bool = False  # where a parser says that it stopped
    mismatched_sharing_status: int = 409  # a body that is JSON, and no sharing
    missing_object_is_private: bool = False  # the 404 of GET /api/sharing
    unreadable_object_is_missing: bool = False  # to /api/sharing

    # Routes and their parameters
    keys_route: bool = True
    user_keys_route: bool = True
    unpaged_is_headless: bool = False  # the entries query with paging=false
    pager_has_comma: bool = False  # one too many, so that the answer is no JSON
    entries_query: bool = True
    user_entries_query: bool = True
    protections_route: bool = True
    login_config_route: bool = True
    ping_route: bool = True
    ping_sets_cookie: bool = False
    system_ping_is_open: bool = False  # to everybody, so that it proves no credentials
    system_ping_cache: str = "no-cache, no-store, max-age=0, must-revalidate"
    me_is_no_store: bool = False
    me_has_username: bool = True
    info_fields: bool = True  # /api/system/info?fields=
    tokens_break_me: bool = False  # /api/me of an account that has tokens
    sharing_cache: str = "no-cache"
    empty_listing_is_missing: bool = False  # 404 where no key is as new as lastUpdated
    mistyped_is_explained: bool = True  # a parameter that is not of its type
    bad_date_status: int = 400
    bad_date_text: str = "Value '{value}' is not valid for parameter lastUpdated. Invalid format: \"{value}\""

    # Writing
    put_creates: bool = True
    put_without_body_deletes: bool = True
    missing_body_status: int = 400
    path_and_roll: bool = True  # updates by SQL, which touch neither the date nor the encrypted text
    put_checks_json: bool = True  # also of an entry that exists; else the database does
    json_trailing_commas: bool = True
    json_leading_zeros: bool = True
    json_checks_hex_digits: bool = False
    json_stops_after_value: bool = False
    database_refusal_status: int = 409
    database_refusal_text: str | None = None  # None: in the words of the database

    # The entries query
    query_checks_parameters: bool = True
    query_include_all_text: str = "Value '{value}' is not valid for parameter includeAll. It should be of type boolean"
    query_fields_text: str = (
        "Illegal fields expression, expected `,`, `[` or `]` at position {position} but found `{found}`"
    )
    query_mistyped_text: str = "Parameter value [{value}] did not match expected type [java.lang.String (n/a)]"

    # The per-user store
    username_parameter: str | None = "username"  # as the refusal calls it; None: not listened to
    user_update_is_of_all: bool = False  # DHIS2-21740: the SQL that updates an entry knows no account
    user_entry_is_no_store: bool = False
    user_lists_decide_late: bool = False  # no-store only where there is a list
    user_update_status: int = 200
    user_namespace_delete_always_ok: bool = False

    # Who may do what
    protections: tuple[Protection, ...] = ()
    hidden_from_everybody: bool = False  # superusers included
    sharing_on_reads: bool = True
    sharing_on_lists: bool = True
    sharing_on_namespace_delete: bool = True
    sharing_before_existence: bool = True  # whether POST, PUT and DELETE first ask if the entry may be read
    read_denied_text: str = "Access denied for key '{key}' in namespace '{ns}'"
    update_denied_text: str = "Access denied for key '{key}' in namespace '{ns}'"
    delete_denied_text: str = "Access denied for key '{key}' in namespace '{ns}'"
    namespace_denied_text: str = "Access denied for key '{key}' in namespace '{ns}'"
    list_denied_code: str | None = "E1006"  # of users, groups
    groups_of_sign_in: bool = True  # a session knows an account's groups of when it began
    hidden_query_is_empty: bool = False  # the entries query of a hidden namespace: 200 without a body

    # metaData
    metadata_value: bool = False
    metadata_accesses: bool = False  # sharing in its older form beside
    metadata_access: bool = True
    external_access: bool = False  # everything that shows sharing says that it is not shared without sign-in
    metadata_favorites: bool = False

    # Signing in
    token_route: bool = True
    token_sign_in: bool = True
    api_key_response: str = "ObjectReport"
    token_checksum: bool = True
    token_failure_has_message: bool = True
    token_methods: tuple[str, ...] | None = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")  # None: no check
    bearer_is_oauth: bool = False  # Bearer tokens are refused in the words of OAuth
    unauthorized_has_message: bool = True
    unauthorized_asks_for_basic: bool = False  # instead of leading to the login page
    login_location: str = "{base}/login/"
    login_page: bool = False  # whether there is a page where that leads to, without any app installed
    anonymous_session: str = (
        "never"  # to whom a refusal gives one: "always", "anonymous", "saved request" (of a browser)
    )
    session_renews_cookie: bool = False  # every reply within a session sets its cookie again
    bad_password_ends_session: bool = False
    public_suffixes: bool = True  # paths that end like public ones need no sign-in
    unsecured_suffix: str | None = None  # paths that end so know of no sign-in, whoever asks
    anonymous_is_refused: bool = True  # by the handlers then, with 409

    # The two stores' texts
    texts: Texts = Texts()
    user_texts: Texts = Texts(
        created="Key '{key}' in namespace '{ns}' created.",
        deleted="Key '{key}' deleted from the namespace '{ns}'.",
    )


_METADATASTORE = Protection("METADATASTORE", "HIDDEN", "HIDDEN", ("F_METADATA_MANAGE",))
_ORG_UNIT_PROFILE = Protection("ORG_UNIT_PROFILE", "NONE", "RESTRICTED", ("F_ORG_UNIT_PROFILE_ADD", "ALL"))
_ANDROID_SETTING = Protection("ANDROID_SETTING_APP", "NONE", "RESTRICTED", ("M_androidsettingsapp",))
_ANDROID_SETTINGS = Protection("ANDROID_SETTINGS_APP", "NONE", "RESTRICTED", ("M_androidsettingsapp",))
_CAPTURE = Protection("capture", "NONE", "RESTRICTED", ("F_CAPTURE_DATASTORE_UPDATE",))
_SETTINGS_TRANSLATIONS = Protection("settings-translations", "RESTRICTED", "RESTRICTED", ("F_SYSTEM_SETTING",))
_SMS_CONFIG = Protection("sms-config", "RESTRICTED", "RESTRICTED", ("F_MOBILE_SENDSMS",))

_V44 = Profile(
    version="2.44",
    release="2.44-SNAPSHOT",
    build_day="2026-08-21",
    revision="3f8c14a",
    api_versions=range(28, 45),
    cuts_any_suffix=False,
    system_ping_is_open=True,
    system_ping_cache="no-store",
    login_location="{context}/login/",
    session_renews_cookie=True,
    unsecured_suffix="/loginConfig",
    protections=(_ANDROID_SETTINGS, _METADATASTORE, _ORG_UNIT_PROFILE, _CAPTURE, _SETTINGS_TRANSLATIONS, _SMS_CONFIG),
)
_V43 = replace(
    _V44,
    version="2.43",
    release="2.43.2-SNAPSHOT",
    build_day="2026-08-21",
    revision="7eb8226",
    api_versions=range(28, 44),
    cuts_any_suffix=True,
    system_ping_is_open=False,
    system_ping_cache="no-cache, no-store, max-age=0, must-revalidate",
    json_checks_hex_digits=True,
    mismatched_sharing_status=500,
    unsecured_suffix=None,
    login_location="{base}/login/",
    metadata_favorites=True,
)
_V42 = replace(
    _V43,
    version="2.42",
    release="2.42.7-SNAPSHOT",
    build_day="2026-08-22",
    revision="74bc573",
    api_versions=range(28, 43),
    login_location="{base}/dhis-web-login/",
    session_renews_cookie=False,
)
_V41 = replace(
    _V42,
    version="2.41",
    release="2.41.10-SNAPSHOT",
    build_day="2026-08-21",
    revision="7b5e54c",
    invalid_utf8_is_refused=False,
    firewall_status=500,
    head_has_length=False,
    groups_of_sign_in=False,
    slashed_get_is_no_store=True,
    wrong_context_redirects=False,
    root_location="dhis-web-commons-about/redirect.action",
    error_type=JSON_UTF8,
    read_denied_code=None,
    method_text="Request method '{method}' not supported",
    content_type_text="Content type '{type}' not supported",
    content_type_missing_text="Content type '' not supported",
    unmanaged_sharing_code=None,
    protections_route=False,
    ping_sets_cookie=True,
    protections=(_ANDROID_SETTINGS, _METADATASTORE, _ORG_UNIT_PROFILE, _CAPTURE),
    login_location="{base}/dhis-web-login",
    anonymous_session="anonymous",
    bearer_is_oauth=True,
    anonymous_is_refused=False,
    api_key_response="ApiTokenCreationResponse",
)
_V40 = replace(
    _V41,
    version="2.40",
    release="2.40.13-SNAPSHOT",
    build_day="2026-08-04",
    revision="0d20d50",
    missing_object_is_private=True,
    json_source="(org.apache.catalina.connector.CoyoteInputStream)",
    json_error_is_after_token=True,
    login_config_route=False,
    put_without_body_deletes=False,
    missing_body_status=500,
    path_and_roll=False,
    put_checks_json=False,
    query_mistyped_text="null",
    metadata_accesses=True,
    external_access=True,
    token_checksum=False,
    token_failure_has_message=False,
    login_location="{base}/dhis-web-commons/security/login.action",
    login_page=True,
    anonymous_session="saved request",
    public_suffixes=False,
)
_V39 = replace(
    _V40,
    version="2.39",
    release="2.39.11-SNAPSHOT",
    build_day="2026-06-10",
    revision="f35db6e",
    api_versions=range(28, 41),
    mistyped_is_explained=False,
    list_denied_code=None,
    user_keys_route=False,
    user_entries_query=False,
    bad_date_text="Value {value} is not a valid Date.",
    put_checks_json=True,
    json_trailing_commas=False,
    json_leading_zeros=False,
    json_stops_after_value=True,
    database_refusal_status=500,
    database_refusal_text="could not execute statement",
    query_checks_parameters=False,
    query_include_all_text=(
        "Failed to convert value of type 'java.lang.String' to required type 'boolean'; nested exception is "
        "java.lang.IllegalArgumentException: Invalid boolean value [{value}]"
    ),
    query_mistyped_text=(
        "class java.lang.{type} cannot be cast to class java.lang.String (java.lang.{type} and java.lang.String are in "
        "module java.base of loader 'bootstrap')"
    ),
    username_parameter="user",
    user_entry_is_no_store=True,
    user_lists_decide_late=True,
    user_namespace_delete_always_ok=True,
    protections=(_ANDROID_SETTING, _METADATASTORE, _ORG_UNIT_PROFILE, _CAPTURE),
    hidden_query_is_empty=True,
    metadata_access=False,
    token_methods=None,
    anonymous_session="always",
    texts=Texts(codes=()),
    user_texts=Texts(
        codes=(),
        key_missing="The key '{key}' was not found in the namespace '{ns}'.",
        namespace_missing="The namespace '{ns}' was not found.",
        key_exists="The key '{key}' already exists in the namespace '{ns}'.",
        invalid_json="The data is not valid JSON.",
        created="Key '{key}' in namespace '{ns}' created.",
        deleted="Key '{key}' deleted from the namespace '{ns}'.",
        namespace_deleted="All keys from namespace '{ns}' deleted.",
    ),
)
_V38 = replace(
    _V39,
    version="2.38",
    release="2.38.8-SNAPSHOT",
    build_day="2026-06-09",
    revision="dae7d1c",
    api_versions=range(28, 40),
    xml_messages=True,
    keys_route=False,
    query_fields_text="Illegal fields expression. Expected `,`, `[` or `]` at position {position} but found `{found}`",
    protections=(_ANDROID_SETTING, _METADATASTORE, _ORG_UNIT_PROFILE),
    sharing_on_reads=False,
    sharing_on_lists=False,
    sharing_on_namespace_delete=False,
    update_denied_text="DatastoreEntry(namespace={ns}, key={key}, getValue={value})",
    delete_denied_text="DatastoreEntry(namespace={ns}, key={key}, getValue={value})",
    token_failure_has_message=True,
    anonymous_session="saved request",
)
_V37 = replace(
    _V38,
    version="2.37",
    release="2.37.11-SNAPSHOT",
    build_day="2026-06-10",
    revision="94e95cb",
    api_versions=range(28, 39),
    entries_query=False,
    me_is_no_store=True,
    me_has_username=False,
    info_fields=False,
    put_creates=False,
    username_parameter=None,
    user_update_status=201,
    update_denied_text="KeyJsonValue{{namespace={ns}, key={key}, value={value}}}",
    delete_denied_text="KeyJsonValue{{namespace={ns}, key={key}, value=null}}",
    token_sign_in=False,
    unauthorized_has_message=False,
    unauthorized_asks_for_basic=True,
    user_texts=replace(_V39.user_texts, updated="Key '{key}' in namespace '{ns}' updated."),
)
_V36 = replace(
    _V37,
    version="2.36",
    release="2.36.14-SNAPSHOT",
    build_day="2023-12-05",
    revision="cd9dde9",
    api_versions=range(28, 37),
    errors_are_always_private=True,
    messages_follow_accept=False,
    ping_route=False,
    ping_sets_cookie=False,
    sharing_cache="no-cache, private",
    bad_date_status=500,
    bad_date_text='Invalid format: "{value}"',
    protections=(_METADATASTORE,),
    hidden_from_everybody=True,
    sharing_on_reads=True,
    sharing_on_namespace_delete=True,
    sharing_before_existence=False,
    read_denied_text="You do not have the authority to access the key: '{key}' in the namespace:'{ns}'",
    update_denied_text="You do not have the authority to update the key: '{key}' in the namespace: '{ns}'",
    delete_denied_text="You do not have the authority to delete the key: '{key}' in the namespace: '{ns}'",
    namespace_denied_text="You do not have the authority to delete the namespace:'{ns}'",
    metadata_value=True,
    token_route=False,
    unauthorized_has_message=True,
    unauthorized_asks_for_basic=False,
    bad_password_ends_session=True,
    texts=Texts(
        codes=(),
        key_missing="The key '{key}' was not found in the namespace '{ns}'.",
        namespace_missing="The namespace '{ns}' was not found.",
        key_exists="The key '{key}' already exists on the namespace '{ns}'.",
        invalid_json="The data is not valid JSON.",
        created="Key '{key}' created.",
        updated="Key '{key}' updated.",
        deleted="Key '{key}' deleted from namespace '{ns}'.",
        namespace_deleted="Namespace '{ns}' deleted.",
    ),
)

PROFILES: dict[str, Profile] = {p.version: p for p in (_V36, _V37, _V38, _V39, _V40, _V41, _V42, _V43, _V44)}
