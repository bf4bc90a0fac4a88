"""From a request and the chart's skeleton to a complete Job."""

import copy
import json
from dataclasses import replace

import pytest
import yaml
from pilot_aggregator.jobs.backend import JobRequest, StatePlace
from pilot_aggregator.jobs.kubernetes.labels import SPEC_HASH
from pilot_aggregator.jobs.kubernetes.render import render
from pilot_aggregator.jobs.kubernetes.state_volume import state_place
from pilot_aggregator.jobs.kubernetes.templates import read_templates
from pilot_proto.canonical import document_digest
from pilot_proto.problem import InvalidDocument

TEMPLATE = {
    "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
    "spec": {
        "suspend": True,
        "backoffLimit": 6,
        "ttlSecondsAfterFinished": 1,
        "template": {
            "metadata": {"labels": {"pod": "c"}},
            "spec": {
                "serviceAccountName": "vqa-1",
                "restartPolicy": "OnFailure",
                "containers": [
                    {"name": "proxy", "image": "p:1"},
                    {
                        "name": "trainer",
                        "image": "t:1",
                        "env": [{"name": "PILOT_RUN", "value": "mine"}, {"name": "PILOT_STATE_DIR", "value": "/s"}],
                    },
                ],
            },
        },
    },
}
REQUEST = JobRequest(
    "pilot-x-a1", "vqa-1", {"PILOT_RUN": "t", "PILOT_ROUND": "1"}, {"run": "t", "run-uid": "u", "attempt": "1"}, 99
)


@pytest.fixture
def job():
    return render(REQUEST, TEMPLATE, "trainers")


def environment(job):
    trainer = job["spec"]["template"]["spec"]["containers"][1]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in trainer["env"]}


def test_a_job_is_one_pod_that_is_never_tried_again(job):
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 0)
    assert (spec["completionMode"], spec["podReplacementPolicy"]) == ("Indexed", "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 99


def test_a_job_has_no_time_to_live_before_its_outcome_is_stored(job):
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_every_way_to_fail_fails_the_job_and_leaves_its_own_trace(job):
    fatal, taken_away, other = job["spec"]["podFailurePolicy"]["rules"]
    assert fatal["onExitCodes"] == {"containerName": "trainer", "operator": "In", "values": [64, 65, 78]}
    assert taken_away["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert other["onExitCodes"]["operator"] == "NotIn"
    assert {rule["action"] for rule in (fatal, taken_away, other)} == {"FailJob"}


def test_job_and_pod_say_whose_they_are_beside_what_the_template_says(job):
    ours = {"pilot.federated/run": "t", "pilot.federated/run-uid": "u", "pilot.federated/attempt": "1"}
    assert job["metadata"]["labels"] == {"team": "a", **ours}
    assert job["spec"]["template"]["metadata"]["labels"] == {"pod": "c", **ours}
    assert (job["metadata"]["name"], job["metadata"]["namespace"]) == ("pilot-x-a1", "trainers")


def test_the_trainer_is_told_what_the_run_wants_and_each_thing_once(job):
    assert environment(job) == {
        "PILOT_INCARNATION": {"fieldRef": {"fieldPath": "metadata.uid"}},
        "PILOT_RUN": "t",
        "PILOT_ROUND": "1",
        "PILOT_STATE_DIR": "/s",
        "PILOT_TOKEN_FILE": "/var/run/secrets/pilot/token",
    }
    assert job["spec"]["template"]["spec"]["containers"][0] == {"name": "proxy", "image": "p:1"}


def test_what_else_the_template_says_stays(job):
    assert job["spec"]["suspend"] is True
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "vqa-1"
    assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 120
    assert job["metadata"]["annotations"]["note"] == "b"


def test_the_hash_is_of_the_job_as_it_was_rendered(job):
    plain = copy.deepcopy(job)
    del plain["metadata"]["annotations"][SPEC_HASH]
    assert job["metadata"]["annotations"][SPEC_HASH] == document_digest(plain)
    other = render(JobRequest("pilot-x-a1", "vqa-1", {"PILOT_RUN": "u"}), TEMPLATE, "trainers")
    assert other["metadata"]["annotations"][SPEC_HASH] != job["metadata"]["annotations"][SPEC_HASH]


def test_rendering_is_plain_json_the_same_every_time_and_leaves_the_template_alone(job):
    before = copy.deepcopy(TEMPLATE)
    assert render(REQUEST, TEMPLATE, "trainers") == job == json.loads(json.dumps(job))
    assert before == TEMPLATE


GPU_TEMPLATE = {
    "spec": {
        "template": {
            "spec": {
                "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}],
                "containers": [
                    {"name": "sidecar", "image": "p:1", "args": ["stay"], "resources": {"limits": {"x.example/d": 1}}},
                    {
                        "name": "trainer",
                        "image": "t:1",
                        "command": ["torchrun"],
                        "args": ["-m", "pilot_trainer"],
                        "resources": {
                            "limits": {"nvidia.com/gpu": 8, "memory": "64Gi"},
                            "requests": {"cpu": "4", "ephemeral-storage": "1Gi", "nvidia.com/gpu": 8},
                            "claims": [{"name": "gpu"}],
                        },
                    },
                ],
            }
        }
    }
}


def test_another_program_runs_in_the_same_pod_and_waits_for_no_accelerator():
    spec = render(replace(REQUEST, command=("python", "-m", "x")), GPU_TEMPLATE, "trainers")["spec"]["template"]["spec"]
    assert "resourceClaims" not in spec
    sidecar, trainer = spec["containers"]
    assert (trainer["command"], "args" in trainer) == (["python", "-m", "x"], False)
    assert trainer["resources"] == {"limits": {"memory": "64Gi"}, "requests": {"cpu": "4", "ephemeral-storage": "1Gi"}}
    assert (sidecar["args"], sidecar["resources"]) == (["stay"], {"limits": {}})


def test_a_trainer_keeps_its_accelerators_and_its_command():
    spec = render(REQUEST, GPU_TEMPLATE, "trainers")["spec"]["template"]["spec"]
    assert spec["resourceClaims"] == GPU_TEMPLATE["spec"]["template"]["spec"]["resourceClaims"]
    for made, wanted in zip(spec["containers"], GPU_TEMPLATE["spec"]["template"]["spec"]["containers"], strict=True):
        assert {name: made[name] for name in wanted} == wanted


def with_state(**volume):
    template = copy.deepcopy(TEMPLATE)
    spec = template["spec"]["template"]["spec"]
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "disk", "mountPath": "/s", "subPath": "vqa-1"}]
    spec["containers"][1] |= {"volumeMounts": mounts, "securityContext": {"runAsNonRoot": True}}
    spec |= {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "disk", **volume}], "tolerations": [{"key": "k"}]}
    return render(REQUEST, template, "trainers")


def test_the_place_of_the_private_state_is_the_claim_that_is_mounted_there():
    place = state_place(with_state(persistentVolumeClaim={"claimName": "state-vqa-1"}))
    assert (place.namespace, place.claim, place.path) == ("trainers", "state-vqa-1", "/s")
    spec = place.pod["spec"]
    (reader,) = spec["containers"]
    assert reader["volumeMounts"] == [{"name": "disk", "mountPath": "/s", "subPath": "vqa-1", "readOnly": True}]
    assert (reader["image"], reader["securityContext"]) == ("t:1", {"runAsNonRoot": True})
    assert spec["volumes"] == [{"name": "disk", "persistentVolumeClaim": {"claimName": "state-vqa-1"}}]
    assert (spec["tolerations"], spec["automountServiceAccountToken"]) == ([{"key": "k"}], False)
    assert "serviceAccountName" not in spec


def test_a_volume_without_a_claim_has_a_place_and_one_that_goes_with_its_pod_has_none():
    named = state_place(with_state(hostPath={"path": "/disk"}))
    assert (named.claim, named.pod["spec"]["volumes"]) == ("", [{"name": "disk", "hostPath": {"path": "/disk"}}])
    assert state_place(with_state(emptyDir={})) == StatePlace("trainers")
    assert state_place(render(REQUEST, TEMPLATE, "trainers")) == StatePlace("trainers")


def document(**templates):
    return {
        "apiVersion": "pilot/v1alpha1",
        "kind": "JobTemplates",
        "metadata": {"name": "pilot"},
        "spec": {"namespace": "trainers", "templates": templates},
    }


def written(folder, *documents):
    for number, document in enumerate(documents):
        (folder / f"jobs-{number}.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_templates_are_read_with_everything_that_the_cluster_knows_and_we_do_not(tmp_path):
    templates = read_templates(written(tmp_path, document(base=TEMPLATE)))
    assert templates.spec.namespace == "trainers"
    assert templates.of("base") == TEMPLATE
    assert templates.of("vqa-1") is None


def test_templates_may_stand_in_several_documents(tmp_path):
    templates = read_templates(written(tmp_path, document(base=TEMPLATE), document(one=TEMPLATE, two=GPU_TEMPLATE)))
    assert [templates.of(name) for name in ("base", "one", "two")] == [TEMPLATE, TEMPLATE, GPU_TEMPLATE]


def test_a_folder_without_templates_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"jobs\.yaml"):
        read_templates(tmp_path)


def without_trainer():
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["template"]["spec"]["containers"].pop()
    return template


BAD = {
    "no templates": (document(), "/spec/templates"),
    "no container of that name": (document(base=without_trainer()), "no container 'trainer' among proxy"),
    "no pod": (document(base={"spec": {}}), "/spec/templates/base/spec/template"),
    "another kind": ({**document(base=TEMPLATE), "kind": "Jobs"}, "/kind"),
    "an unknown key": ({**document(base=TEMPLATE), "more": 1}, "more"),
}


@pytest.mark.parametrize(("document", "told"), BAD.values(), ids=BAD)
def test_templates_that_cannot_be_used_are_refused_with_the_place(tmp_path, document, told):
    with pytest.raises(InvalidDocument) as refusal:
        read_templates(written(tmp_path, document))
    assert told in str([(fault.pointer, fault.message) for fault in refusal.value.errors])


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    (tmp_path / "jobs.yaml").write_text("{")
    with pytest.raises(InvalidDocument, match=r"jobs\.yaml"):
        read_templates(tmp_path)
