"""Who may use which route of the aggregator. A route that is not here is refused, and a test fails."""

from pilot_http.app import PREFIX
from pilot_http.auth import Access, PolicyTable

VIEWER: frozenset[Access] = frozenset({"viewer"})
OPERATOR: frozenset[Access] = frozenset({"operator"})
CLIENT: frozenset[Access] = frozenset({"client"})

RUN = f"{PREFIX}/runs/{{run}}"
CLIENT_IN_ROUND = f"{RUN}/rounds/{{n}}/clients/{{client}}"

POLICY: PolicyTable = {
    ("GET", f"{PREFIX}/federation"): VIEWER,
    ("POST", f"{PREFIX}/runs"): OPERATOR,
    ("GET", f"{PREFIX}/runs"): VIEWER,
    ("GET", RUN): VIEWER,
    ("GET", f"{RUN}/spec"): VIEWER,
    ("GET", f"{RUN}/rounds"): VIEWER,
    ("GET", f"{RUN}/outline"): VIEWER,
    ("GET", f"{RUN}/updates"): OPERATOR,
    ("GET", f"{RUN}/rounds/{{n}}"): VIEWER,
    ("GET", f"{RUN}/rounds/{{n}}/timeline"): VIEWER,
    ("GET", f"{RUN}/events"): VIEWER,
    ("GET", f"{RUN}/report"): VIEWER,
    ("POST", f"{RUN}/rounds"): OPERATOR,
    ("POST", f"{RUN}/pause"): OPERATOR,
    ("POST", f"{RUN}/resume"): OPERATOR,
    ("POST", f"{RUN}/cancel"): OPERATOR,
    ("POST", f"{RUN}/rounds/{{n}}/verify"): OPERATOR,
    ("POST", f"{CLIENT_IN_ROUND}/retry"): OPERATOR,
    ("POST", f"{CLIENT_IN_ROUND}/verdict"): OPERATOR,
    ("GET", f"{CLIENT_IN_ROUND}/logs"): OPERATOR,
    ("POST", f"{CLIENT_IN_ROUND}/export"): OPERATOR,
    ("GET", f"{CLIENT_IN_ROUND}/export"): OPERATOR,
    ("GET", f"{CLIENT_IN_ROUND}/assignment"): CLIENT,
    ("POST", f"{CLIENT_IN_ROUND}/progress"): CLIENT,
    ("POST", f"{CLIENT_IN_ROUND}/report"): CLIENT,
    ("POST", f"{CLIENT_IN_ROUND}/failure"): CLIENT,
}
