"""What was read before, bounded."""

import sys
import threading

from pilot_http.recall import Recall


def test_what_was_kept_is_found():
    recall = Recall(2)
    recall.keep("a", 1)
    assert (recall.find("a"), recall.find("b")) == (1, None)


def test_the_longest_unused_goes_first():
    recall = Recall(2)
    recall.keep("a", 1)
    recall.keep("b", 2)
    recall.find("a")
    recall.keep("c", 3)
    assert [recall.find(key) for key in "abc"] == [1, None, 3]


def test_sizes_are_added_up_and_a_new_value_replaces_the_size_of_the_old_one():
    recall = Recall(10, len)
    for _ in range(5):
        recall.keep("a", "x" * 8)
    recall.keep("b", "x" * 2)
    assert recall.find("a") is not None
    recall.keep("b", "x" * 3)
    assert (recall.find("a"), recall.find("b")) == (None, "xxx")


def test_what_is_larger_than_everything_is_not_kept():
    recall = Recall(10, len)
    recall.keep("a", "x" * 11)
    assert recall.find("a") is None
    recall.keep("b", "x" * 10)
    assert recall.find("b") is not None


def test_what_is_forgotten_leaves_its_place():
    recall = Recall(2)
    recall.keep("a", 1)
    recall.forget("a")
    recall.forget("a")
    recall.keep("b", 2)
    recall.keep("c", 3)
    assert [recall.find(key) for key in "abc"] == [None, 2, 3]


def test_threads_lose_no_count_of_the_sizes():
    recall = Recall(100, len)
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=write, args=(recall, name)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(often)
    for key in range(100):
        recall.keep(key, "x")
    assert all(recall.find(key) == "x" for key in range(100))


def write(recall, name):
    for turn in range(2000):
        recall.keep((name, turn % 7), "x" * (turn % 5 + 1))
