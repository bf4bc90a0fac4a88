"""Splits: groups stay together, stay where they are, and no image is in two of them."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot_data.errors import DataError
from pilot_data.importing.columns import Columns
from pilot_data.importing.splits import DEFAULT, parse_shares, split_of
from unit.data.sources import IN_THREE, imported, picture, questions, split, write_csv

BY_PATIENT = Columns("image", "answer", "question", group="patient")


def test_the_default_shares_are_read():
    assert parse_shares(DEFAULT) == IN_THREE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("train=.8,val=.1", "must add up to 1"),
        ("val=.5,test=.5", "train must be there"),
        ("train=.8,dev=.2", "'dev' is not"),
        ("train=.5,train=.5", "each once"),
        ("train=all", "'all' is not a share"),
        ("train=1,test=0", "'0' is not a share.*leave out"),
        ("train=nan", "not a share"),
        ("", "'' is not"),
    ],
)
def test_shares_that_are_none_are_refused_with_an_example(text, reason):
    with pytest.raises(DataError, match=reason):
        parse_shares(text)


@given(st.text(min_size=1), st.integers(0, 2**32))
def test_a_group_has_one_split_whatever_else_there_is(group, seed):
    assert split_of(group, seed, IN_THREE) == split_of(group, seed, dict(reversed(IN_THREE.items())))


def test_groups_are_divided_in_the_shares_that_were_asked_for():
    found = [split_of(f"patient {i}", 0, IN_THREE) for i in range(4000)]
    assert found.count("train") == pytest.approx(3200, abs=100)
    assert found.count("val") == pytest.approx(400, abs=80)


def test_a_larger_train_share_takes_from_the_others_and_gives_nothing_away():
    more = {"train": 0.9, "val": 0.05, "test": 0.05}
    trained = [i for i in range(500) if split_of(str(i), 0, IN_THREE) == "train"]
    assert all(split_of(str(i), 0, more) == "train" for i in trained)


def test_another_seed_divides_otherwise():
    assert [split_of(str(i), 0, IN_THREE) for i in range(50)] != [split_of(str(i), 1, IN_THREE) for i in range(50)]


def test_shares_that_add_up_to_a_hair_less_lose_nobody():
    thirds = {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3 - 1e-7}
    assert {split_of(str(i), 0, thirds) for i in range(100)} == {"train", "val", "test"}


def patients(folder, count):
    rows = questions(folder, 3 * count)
    return [{**row, "patient": f"p{i // 3}"} for i, row in enumerate(rows)]


def places(out, rows):
    """The split of each patient, by the numbers in its questions."""
    found = {}
    for name in IN_THREE:
        for record in split(out, name):
            number = int(record["conversations"][1]["value"].removeprefix("number "))
            found.setdefault(rows[number]["patient"], set()).add(name)
    return found


def test_all_rows_of_a_group_are_in_one_split(tmp_path):
    rows = patients(tmp_path, 40)
    imported(write_csv(tmp_path, rows), columns=BY_PATIENT, shares=IN_THREE)
    found = places(tmp_path / "out", rows)
    assert len(found) == 40
    assert all(len(names) == 1 for names in found.values())


def test_rows_that_are_added_later_move_no_group(tmp_path):
    rows = patients(tmp_path, 60)
    imported(write_csv(tmp_path, rows[:120]), columns=BY_PATIENT, shares=IN_THREE)
    before = places(tmp_path / "out", rows)
    imported(write_csv(tmp_path, rows), columns=BY_PATIENT, shares=IN_THREE, replace=True)
    after = places(tmp_path / "out", rows)
    assert len(after) == 60
    assert before == {patient: after[patient] for patient in before}


def test_a_row_without_its_group_is_dropped(tmp_path):
    rows = patients(tmp_path, 10)
    rows[3]["patient"] = ""
    done = imported(write_csv(tmp_path, rows), columns=BY_PATIENT)
    assert [(each.place, each.reason) for each in done.dropped] == [("line-5", "empty group")]


def test_without_groups_the_same_picture_is_never_in_two_splits(tmp_path):
    rows = []
    for i in range(40):
        picture(tmp_path, f"{i}.png", i)
        shutil.copy(tmp_path / f"{i}.png", tmp_path / f"again-{i}.png")
        rows += [{"image": f"{name}{i}.png", "question": f"q{i} ?", "answer": "x"} for name in ("", "again-")]
    imported(write_csv(tmp_path, rows), shares=IN_THREE)
    images = [{record["image"] for record in split(tmp_path / "out", name)} for name in IN_THREE]
    assert sum(map(len, images)) == len(set.union(*images)) == 40


def test_a_picture_of_two_groups_stays_with_the_first(tmp_path):
    rows = patients(tmp_path, 40)
    first = split_of("p0", 0, IN_THREE)
    other = next(f"p{i}" for i in range(40) if split_of(f"p{i}", 0, IN_THREE) != first)
    rows.append({**rows[0], "patient": other, "question": "whose ?"})
    done = imported(write_csv(tmp_path, rows), columns=BY_PATIENT, shares=IN_THREE)
    assert [(each.place, each.reason) for each in done.dropped] == [("line-122", "image is in another split")]
    assert "with group 'p0'" in done.dropped[0].detail


def test_an_empty_split_is_refused_with_what_can_be_done(tmp_path):
    source = write_csv(tmp_path, questions(tmp_path, 2))
    with pytest.raises(DataError, match=r"split '.*' is empty: 2 groups .*--splits.*--seed"):
        imported(source, shares=IN_THREE)
    assert not (tmp_path / "out").exists()
    assert imported(source).cases == 2
