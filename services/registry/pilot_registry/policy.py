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

PUBLIC: frozenset[Access] = frozenset({"public"})

RUN_PAGE = "/ui/runs/{run}"
ROUND_PAGE = f"{RUN_PAGE}/rounds/{{n}}"
ADAPTER_PAGE = "/ui/adapters/{ns}/{repo}"

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
    ("DELETE", f"{PREFIX}/adapters/{{ns}}/{{repo}}/versions/{{rev}}"): ADMIN,
    ("GET", f"{PREFIX}/adapters/{{ns}}/{{repo}}/versions/{{rev}}/dependants"): ADMIN,
    ("GET", f"{PREFIX}/adapters/{{ns}}/{{repo}}/versions/{{rev}}/tensors"): ANYONE,
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
    ("GET", "/"): PUBLIC,
    ("GET", "/ui/login"): PUBLIC,
    ("POST", "/ui/login"): PUBLIC,
    ("GET", "/ui/static/{name}"): PUBLIC,
    ("POST", "/ui/logout"): VIEWER,
    ("GET", "/ui"): VIEWER,
    ("GET", "/ui/runs"): VIEWER,
    ("GET", RUN_PAGE): VIEWER,
    ("GET", f"{RUN_PAGE}/lineage"): VIEWER,
    ("GET", f"{RUN_PAGE}/live"): VIEWER,
    ("GET", "/ui/adapters"): VIEWER,
    ("GET", ADAPTER_PAGE): VIEWER,
    ("POST", f"{ADAPTER_PAGE}/alias"): OPERATOR,
    ("POST", f"{ADAPTER_PAGE}/release"): OPERATOR,
    ("POST", f"{ADAPTER_PAGE}/delete"): ADMIN,
    ("GET", "/ui/compare"): VIEWER,
    ("GET", "/ui/compare.csv"): VIEWER,
    ("POST", f"{RUN_PAGE}/{{verb}}"): OPERATOR,
    ("GET", ROUND_PAGE): VIEWER,
    ("GET", f"{ROUND_PAGE}/distances"): VIEWER,
    ("GET", f"{ROUND_PAGE}/merge.csv"): VIEWER,
    ("POST", f"{ROUND_PAGE}/verify"): OPERATOR,
    ("GET", f"{ROUND_PAGE}/clients/{{client}}/logs"): OPERATOR,
    ("POST", f"{ROUND_PAGE}/clients/{{client}}/verdict"): OPERATOR,
    ("POST", f"{ROUND_PAGE}/clients/{{client}}/retry"): OPERATOR,
    ("GET", "/ui/quarantine"): OPERATOR,
    ("GET", "/ui/clients"): VIEWER,
    ("GET", "/ui/clients/{client}"): VIEWER,
    ("GET", "/ui/transfer"): VIEWER,
    ("GET", "/ui/transfer/report.html"): VIEWER,
    ("GET", "/ui/transfer/{table}.csv"): VIEWER,
    ("GET", "/ui/system"): VIEWER,
    ("GET", "/ui/system/api"): VIEWER,
    ("POST", "/ui/system/{chore}"): ADMIN,
    ("GET", "/ui/audit"): ADMIN,
    ("GET", "/ui/audit.csv"): ADMIN,
}
