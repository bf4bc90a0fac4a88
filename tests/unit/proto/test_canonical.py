import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot_proto.canonical import canonical_bytes, commit_of, digest_of, document_digest
from pilot_proto.manifest import Parent
from pilot_proto.update import LossSummary

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalar = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), text)
documents = st.dictionaries(
    text, st.recursive(scalar, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=5), max_size=4
)


@given(documents)
def test_canonical_bytes_are_json_of_the_same_document(document: dict):
    assert json.loads(canonical_bytes(document)) == document


@given(documents, st.randoms())
def test_the_order_of_keys_does_not_matter(document: dict, random):
    keys = list(document)
    random.shuffle(keys)
    assert canonical_bytes({key: document[key] for key in keys}) == canonical_bytes(document)


@given(documents)
def test_writing_what_was_read_gives_the_same_bytes(document: dict):
    raw = canonical_bytes(document)
    assert canonical_bytes(json.loads(raw)) == raw


def test_there_are_no_spaces_and_text_is_not_escaped():
    assert canonical_bytes({"b": [1, 2.5], "a": "\u00e9"}) == '{"a":"\u00e9","b":[1,2.5]}'.encode()


def test_an_absent_field_leaves_no_trace():
    parent = Parent(repo="r/base-text", commit="0" * 40)
    assert canonical_bytes(parent) == b'{"commit":"%s","repo":"r/base-text"}' % (b"0" * 40)
    assert document_digest(parent) != document_digest(parent.model_copy(update={"coefficient": 0.0}))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_write_is_refused(value: float):
    with pytest.raises(ValueError, match="JSON"):
        canonical_bytes({"value": value})


def test_a_float_survives_to_its_last_bit():
    for value in (0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0):
        read = LossSummary.read(canonical_bytes(LossSummary(first=value, last=value, mean=value)))
        assert math.copysign(1, read.first) == math.copysign(1, value)
        assert read.first == value


@given(st.binary())
def test_a_digest_is_sha256_and_a_commit_its_first_forty_digits(raw: bytes):
    expected = hashlib.sha256(raw).hexdigest()
    assert digest_of(raw) == f"sha256:{expected}"
    assert commit_of(raw) == expected[:40]
