"""The tensors of a version by pages: what is told of each, how little is read, and to whom."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pilot_registry import tensor_pages
from pilot_registry.figures import Figures
from pilot_registry.known import Known
from unit.registry.test_numbers import chunks
from unit.registry.world import World, problem, safetensors, tensors

REPO = "digits/base-connector"
PATH = f"/adapters/{REPO}/versions/main/tensors"

values = arrays.arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32, allow_subnormal=False))


@given(values)
def test_the_figures_follow_their_definitions_whatever_the_values(x: np.ndarray):
    found = Figures.of(chunks(x))
    finite = [float(v) for v in x if math.isfinite(v)]
    assert found.non_finite == len(x) - len(finite)
    assert found.norm == pytest.approx(math.sqrt(math.fsum(v * v for v in finite)), rel=1e-12)
    assert found.largest == max((abs(v) for v in finite), default=0.0)


class Reading:
    """A store that counts the bytes that are read."""

    def __init__(self, store) -> None:
        self._store = store
        self.bytes = 0

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def open(self, key: str):
        opened, counted = self._store.open(key), self

        class Counted:
            def __enter__(self):
                self.reader = opened.__enter__()
                return self

            def __exit__(self, *fault):
                return opened.__exit__(*fault)

            def read_at(self, begin: int, length: int) -> bytes:
                data: bytes = self.reader.read_at(begin, length)
                counted.bytes += len(data)
                return data

        return Counted()


@pytest.fixture
def reading(world: World) -> Reading:
    registry = world.app.state.registry
    made = Reading(registry.store)
    object.__setattr__(registry, "store", made)
    return made


def listed(world: World, who: str = "viewer", **query: object) -> dict:
    answer = world.call(who, "GET", PATH, params=query)
    assert answer.status_code == 200, answer.text
    page: dict = answer.json()
    return page


def test_each_tensor_has_its_shape_and_its_figures(world: World):
    page = listed(world)
    assert (page["total"], page["next"]) == (2, None)
    for item, (name, array) in zip(page["items"], tensors(0).items(), strict=True):
        x = np.asarray(array, "f4").astype("f8")
        assert (item["file"], item["name"], item["dtype"]) == ("model.safetensors", name, "F32")
        assert item["shape"] == list(x.shape)
        assert item["size"] == 4 * x.size
        assert item["norm"] == pytest.approx(float(np.sqrt((x * x).sum())), rel=1e-12)
        assert item["largest"] == float(np.abs(x).max())
        assert item["non_finite"] == 0


def test_pages_follow_each_other_and_a_filter_narrows_them(world: World):
    first = listed(world, limit=1)
    second = listed(world, limit=1, cursor=first["next"])
    assert [page["items"][0]["name"] for page in (first, second)] == ["a.weight", "b.bias"]
    assert second["next"] is None
    assert [item["name"] for item in listed(world, name="bias")["items"]] == ["b.bias"]
    assert listed(world, name="none") == {"items": [], "total": 0, "next": None}
    for cursor in ("WyJ4Il0", "Wy0xXQ", "x"):
        assert problem(world.call("viewer", "GET", f"{PATH}?cursor={cursor}")) == (422, "invalid")


def test_only_the_tensors_of_the_page_are_read_and_only_once(world: World, reading: Reading):
    listed(world, limit=1)
    first, whole = reading.bytes, len(safetensors(tensors(0)))
    assert 48 < first <= whole - 20, "the header and a.weight, not b.bias"
    listed(world, limit=1)
    assert reading.bytes == first
    listed(world)
    assert reading.bytes == first + 20


def test_a_page_of_large_tensors_is_shorter_and_never_empty(world: World, monkeypatch):
    monkeypatch.setattr(tensor_pages, "MOST_BYTES", 20)
    first = listed(world)
    assert [item["name"] for item in first["items"]] == ["a.weight"], "48 bytes are more than 20, and alone"
    assert [item["name"] for item in listed(world, cursor=first["next"])["items"]] == ["b.bias"]


def test_who_may_not_read_the_bytes_does_not_see_their_figures(world: World):
    commit = world.answer()
    path = f"/adapters/digits/client-vqa-1-update/versions/{commit}/tensors"
    assert world.call("client:vqa-1", "GET", path).json()["total"] == 2
    assert problem(world.call("viewer", "GET", path)) == (404, "not_found")
    assert problem(world.call("admin", "GET", path)) == (403, "forbidden")
    world.seal()
    world.call("aggregator", "POST", f"/rounds/{world.uid}/1/retire")
    assert problem(world.call("client:vqa-1", "GET", path)) == (410, "deleted")


def test_values_that_are_not_finite_are_counted_and_left_out():
    spoilt = np.array([np.nan, np.inf, -3.0, -4.0], "f4")
    assert Figures.of([spoilt]) == Figures(norm=5.0, largest=4.0, non_finite=2)


def test_what_is_known_is_bounded_by_weight_and_the_longest_unused_goes():
    known: Known[str] = Known(limit=3)
    for key in ("a", "b", "c"):
        known.keep(key, key.upper())
    assert known.find("a") == "A"
    known.keep("d", "D")
    assert [known.find(key) for key in ("a", "b", "c", "d")] == ["A", None, "C", "D"]
    known.keep("e", "E", weight=2)
    assert [known.find(key) for key in ("a", "c", "d", "e")] == [None, None, "D", "E"]
    known.keep("e", "E", weight=1)
    known.keep("f", "F")
    assert known.find("d") == "D", "a lighter value makes room"
    known.keep("g", "G", weight=4)
    assert known.find("g") is None


def test_a_comparison_is_computed_once_for_the_same_bytes(world: World, reading: Reading):
    world.grant()
    world.seal()
    one, two = world.output("task-a-connector", seed=0), world.output("task-b-connector", seed=5)
    assert world.publish(world.publication(one, two)).status_code == 201
    base = f"{REPO}@main"
    first = world.call("viewer", "GET", "/compare", params={"a": base, "b": "digits/task-b-connector@main"}).json()
    spent = reading.bytes
    again = world.call(
        "viewer", "GET", "/compare", params={"a": "digits/task-a-connector@main", "b": "digits/task-b-connector@main"}
    ).json()
    assert reading.bytes == spent
    assert again["a"]["repo"] == "digits/task-a-connector"
    assert {**again, "a": first["a"]} == first
    back = world.call("viewer", "GET", "/compare", params={"a": "digits/task-b-connector@main", "b": base}).json()
    assert back["tensors"][0]["norm_a"] == first["tensors"][0]["norm_b"]
