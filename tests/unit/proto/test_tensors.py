import json
from contextlib import suppress

import numpy as np
import pytest
import safetensors.numpy
from contract.hostile import BATTERY, GOOD, Hostile, changed, extended, file, good, read_header
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pilot_proto.tensors import MAX_HEADER_BYTES, MAX_METADATA_BYTES, HeaderError
from safetensors import SafetensorError

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
    "BOOL": "?",
}  # fmt: skip

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
array = st.sampled_from(sorted(DTYPES.values())).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
files = st.tuples(
    st.dictionaries(texts.filter(lambda name: name != "__metadata__"), array, max_size=4),
    st.dictionaries(texts, texts, max_size=3),
)


def refused(content: bytes) -> str:
    with pytest.raises(HeaderError) as caught:
        read_header(content)
    return caught.value.code


def test_the_battery_has_the_27_cases_of_which_the_library_refuses_14():
    assert len({hostile.name for hostile in BATTERY}) == 27
    assert sum(not hostile.library_accepts for hostile in BATTERY) == 14


@pytest.mark.parametrize("hostile", BATTERY, ids=lambda hostile: hostile.name)
def test_a_hostile_header_is_refused_with_its_code(hostile: Hostile):
    content = hostile.make()
    if hostile.code is None:
        read_header(content)
    else:
        assert refused(content) == hostile.code


@pytest.mark.parametrize("hostile", BATTERY, ids=lambda hostile: hostile.name)
def test_the_library_accepts_what_the_battery_says_it_accepts(hostile: Hostile):
    content = hostile.make()
    if hostile.library_accepts:
        safetensors.numpy.load(content)
    else:
        with pytest.raises(SafetensorError):
            safetensors.numpy.load(content)


@given(files)
def test_a_file_of_the_library_is_read_as_it_was_written(written):
    tensors, metadata = written
    content = safetensors.numpy.save(tensors, metadata or None)
    header = read_header(content)
    assert header.metadata == metadata
    assert {span.name for span in header.tensors} == set(tensors)
    for span in header.tensors:
        stored = np.frombuffer(content[span.begin : span.end], DTYPES[span.dtype]).reshape(span.shape)
        assert stored.tobytes() == tensors[span.name].tobytes()
        assert span.shape == tensors[span.name].shape
        assert header.specs()[span.name] == span.spec


@given(st.integers(0, len(good()) - len(GOOD) - 1), st.binary(min_size=1, max_size=3), st.integers(0, 3))
@settings(max_examples=300)
def test_what_this_parser_accepts_the_library_accepts_too(place: int, put: bytes, cut: int):
    content = good()
    mutated = content[:place] + put + content[place + cut :]
    try:
        header = read_header(mutated)
    except HeaderError:
        return
    assert set(safetensors.numpy.load(mutated)) == set(header.specs())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes):
    for whole in (content, file(content, b"")):
        with suppress(HeaderError):  # and no other error
            read_header(whole)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 4]}}', id="digits"),
        pytest.param(b'{"\\ud800": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', id="half a character"),
        pytest.param(b'{"__metadata__": {"note": "\\udfff"}}', id="half a character in metadata"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"__metadata__": {"note": 1}}', id="metadata that is a number"),
        pytest.param(b'{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}', id="a true dimension"),
        pytest.param(b'{"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}', id="a fractional dimension"),
        pytest.param(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1}}', id="a further key"),
        pytest.param(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}', id="one offset"),
        pytest.param(b'{"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}', id="a dtype we do not read"),
        pytest.param(b'{"a": NaN}', id="no object"),
    ],
)
def test_a_header_that_is_json_but_not_ours_is_bad(header: bytes):
    assert refused(file(header, b"\0" * 4)) == "bad_header"


def test_negative_dimensions_whose_product_fits_are_corrupt():
    assert refused(changed("a.weight", shape=[-4, -3])) == "corrupt"


def test_a_header_may_have_a_mebibyte_and_not_one_byte_more():
    text = json.dumps({}).encode()
    assert read_header(file(text.ljust(MAX_HEADER_BYTES), b"")).tensors == ()
    assert refused(file(text.ljust(MAX_HEADER_BYTES + 1), b"")) == "header_too_large"


def test_metadata_may_have_its_limit_and_not_one_byte_more():
    fitting = {"k": "v" * (MAX_METADATA_BYTES - 1)}
    assert read_header(extended("__metadata__", fitting)).metadata == fitting
    assert refused(extended("__metadata__", {"k": "v" * MAX_METADATA_BYTES})) == "bad_header"


def test_a_strangers_name_is_cut_before_it_fills_a_log():
    with pytest.raises(HeaderError) as caught:
        read_header(changed("a.weight", dtype="X" * 10_000))
    assert len(str(caught.value)) < 300
