"""Who may use which route. What is missing here is refused."""

from pilot_http.app import PREFIX
from pilot_http.auth import Access, PolicyTable

from pilot_registry.api.models import FOLDER, MODEL, MODEL_REVISION, TREE
from pilot_registry.api.resolve import RESOLVE

AGGREGATOR: frozenset[Access] = frozenset({"aggregator"})
ANYONE: frozenset[Access] = frozenset({"anyone"})
"""Everybody with a key; the operation looks at who it is and at what each version allows."""
VIEWER: frozenset[Access] = frozenset({"viewer"})
OPERATOR: frozenset[Access] = frozenset({"operator"})
ADMIN: frozenset[Access] = frozenset({"admin"})

POLICY: PolicyTable = {
    ("PUT", f"{PREFIX}/grants/{{uid}}/{{n}}"): AGGREGATOR,
    ("PUT", f"{PREFIX}/grants/{{uid}}/{{n}}/{{client}}"): AGGREGATOR,
    ("PUT", f"{PREFIX}/grants/{{uid}}/{{n}}/{{client}}/handed"): AGGREGATOR,
    ("DELETE", f"{PREFIX}/grants/{{uid}}"): AGGREGATOR,
    ("PUT", f"{PREFIX}/files"): ANYONE,
    ("POST", f"{PREFIX}/uploads"): ANYONE,
    ("PATCH", f"{PREFIX}/uploads/{{id}}"): ANYONE,
    ("POST", f"{PREFIX}/uploads/{{id}}/complete"): ANYONE,
    ("POST", f"{PREFIX}/adapters/{{ns}}/{{repo}}/versions"): ANYONE,
    ("GET", f"{PREFIX}/rounds/{{uid}}/{{n}}"): AGGREGATOR,
    ("POST", f"{PREFIX}/rounds/{{uid}}/{{n}}/seal"): AGGREGATOR,
    ("POST", f"{PREFIX}/rounds/{{uid}}/{{n}}/publish"): AGGREGATOR,
    ("POST", f"{PREFIX}/rounds/{{uid}}/{{n}}/retire"): AGGREGATOR,
    ("GET", RESOLVE): ANYONE,
    ("HEAD", RESOLVE): ANYONE,
    ("GET", MODEL): ANYONE,
    ("GET", MODEL_REVISION): ANYONE,
    ("GET", TREE): ANYONE,
    ("GET", FOLDER): ANYONE,
    ("GET", f"{PREFIX}/adapters"): ANYONE,
    ("GET", f"{PREFIX}/adapters/{{ns}}/{{repo}}/versions/{{rev}}"): ANYONE,
    ("GET", f"{PREFIX}/adapters/{{ns}}/{{repo}}/aliases"): ANYONE,
    ("PUT", f"{PREFIX}/adapters/{{ns}}/{{repo}}/aliases/{{alias}}"): OPERATOR,
    ("POST", f"{PREFIX}/adapters/{{ns}}/{{repo}}/versions/{{rev}}/release"): OPERATOR,
    ("GET", f"{PREFIX}/compare"): ANYONE,
    ("GET", f"{PREFIX}/lineage"): ANYONE,
    ("GET", f"{PREFIX}/audit"): ADMIN,
    ("GET", f"{PREFIX}/rejections"): OPERATOR | AGGREGATOR,
    ("POST", f"{PREFIX}/admin/gc"): ADMIN,
    ("POST", f"{PREFIX}/admin/reindex"): ADMIN,
    ("GET", f"{PREFIX}/admin/check"): ADMIN,
    ("GET", "/ui"): VIEWER,
    ("GET", "/ui/runs/{run}"): VIEWER,
    ("GET", "/ui/adapters/{ns}/{repo}"): VIEWER,
    ("GET", "/ui/static/{name}"): VIEWER,
}
