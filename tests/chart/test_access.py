"""Who may do what in the cluster, and who may talk to whom: exactly this, and a change of it must be meant."""

from chart.rendering import of_kind, rendered, rendered_with, the

AGGREGATOR = {
    ("batch", "jobs"): {"create", "get", "list", "watch", "patch", "delete"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get"},
    ("", "events"): {"create", "list", "watch"},
    ("", "configmaps"): {"create", "get", "list", "patch", "delete"},
}
IDENTITY = {("", "pods"): {"get"}}


def rules(role):
    found = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found[group, resource] = set(rule["verbs"])
    return found


def granted(found):
    """ServiceAccount to everything that its bindings give it, by (namespace of the role, role)."""
    table = {}
    for binding in of_kind(found, "RoleBinding"):
        role = the(found, "Role", binding["roleRef"]["name"])
        for subject in binding["subjects"]:
            table.setdefault(subject["name"], {})[role["metadata"]["name"]] = rules(role)
    return table


def test_the_aggregator_may_make_jobs_and_the_registry_look_at_pods_and_nobody_anything_else():
    assert granted(rendered("default")) == {
        "pilot-aggregator": {"pilot-aggregator": AGGREGATOR, "pilot-identity": IDENTITY},
        "pilot-registry": {"pilot-identity": IDENTITY},
    }


def test_lease_and_pods_of_the_aggregators_are_granted_by_their_names_only():
    found = rendered("external")
    lease, pods = the(found, "Role", "pilot-aggregator-lease")["rules"]
    assert (lease["resourceNames"], lease["verbs"]) == (["pilot-aggregator"], ["get", "update"])
    assert (pods["resourceNames"], pods["verbs"]) == (["pilot-aggregator-0", "pilot-aggregator-1"], ["patch"])
    assert the(found, "Role", "pilot-aggregator-lease")["metadata"]["namespace"] == "pilot"


def test_who_makes_the_keys_may_create_secrets_and_read_none():
    assert granted(rendered("hook"))["pilot-make-keys"] == {"pilot-make-keys": {("", "secrets"): {"create"}}}


def test_token_review_is_one_verb_and_has_to_be_asked_for():
    (role,) = of_kind(rendered("gpu"), "ClusterRole")
    assert rules(role) == {("authentication.k8s.io", "tokenreviews"): {"create"}}


def test_no_rule_has_a_star():
    for name in ("default", "external", "hook", "gpu"):
        for role in [*of_kind(rendered(name), "Role"), *of_kind(rendered(name), "ClusterRole")]:
            for rule in role["rules"]:
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_service_that_makes_no_jobs_has_no_right_to():
    values = "aggregator: {backend: local}\nauth: {mode: keys}"
    assert granted(rendered_with(values)) == {}


def test_each_client_has_an_account_that_means_only_this_client():
    found = rendered("gpu")
    import yaml

    identities = yaml.safe_load(the(found, "ConfigMap", "pilot-identities")["data"]["identities.yaml"])
    assert identities == {
        "pilot/pilot-client-base": "client:base",
        "pilot/north": "client:north",
        "pilot/pilot-client-south": "client:south",
        "pilot/pilot-client-west": "client:west",
    }


def component(name):
    return {
        "app.kubernetes.io/name": "pilot",
        "app.kubernetes.io/instance": "pilot",
        "app.kubernetes.io/component": name,
    }


def test_trainers_reach_aggregator_registry_and_dns_and_are_reached_by_nobody():
    policy = the(rendered("default"), "NetworkPolicy", "pilot-trainer")["spec"]
    own = {"matchLabels": {"kubernetes.io/metadata.name": "pilot"}}
    assert policy["podSelector"]["matchLabels"] == component("trainer")
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == []
    assert policy["egress"] == [
        {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
        {
            "to": [{"namespaceSelector": own, "podSelector": {"matchLabels": component("aggregator")}}],
            "ports": [{"protocol": "TCP", "port": 8600}],
        },
        {
            "to": [{"namespaceSelector": own, "podSelector": {"matchLabels": component("registry")}}],
            "ports": [{"protocol": "TCP", "port": 8601}],
        },
    ]


def test_the_object_store_is_reached_by_the_registry_and_reaches_nobody():
    policy = the(rendered("default"), "NetworkPolicy", "pilot-objectstore")["spec"]
    assert policy["egress"] == []
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": component("registry")}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9000}]


def test_who_else_reaches_the_services_can_be_narrowed_without_shutting_out_their_own():
    (rule,) = the(rendered("external"), "NetworkPolicy", "pilot-registry")["spec"]["ingress"]
    components = [
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for peer in rule["from"]
        if "podSelector" in peer
    ]
    assert sorted(components) == ["aggregator", "registry", "test", "trainer"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in rule["from"]


def test_registry_and_aggregator_reach_each_other_however_narrow_the_policy_is():
    for service, other in (("registry", "aggregator"), ("aggregator", "registry")):
        (rule,) = the(rendered("external"), "NetworkPolicy", f"pilot-{service}")["spec"]["ingress"]
        assert {"podSelector": {"matchLabels": component(other)}} in rule["from"]
        assert the(rendered("external"), "NetworkPolicy", f"pilot-{service}")["spec"]["policyTypes"] == ["Ingress"]


def test_labels_of_trainers_are_those_that_the_policy_selects():
    from chart.rendering import job_templates

    for template in job_templates(rendered("default")).values():
        assert component("trainer").items() <= template["spec"]["template"]["metadata"]["labels"].items()


def test_policies_can_be_left_out():
    assert of_kind(rendered("custom-store"), "NetworkPolicy") == []
