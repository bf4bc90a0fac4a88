from itertools import combinations

import numpy as np
import pytest
from pilot_digits.handwriting import digit_class, digit_image, pools
from pilot_digits.scenes import CANVAS, LATTICE, Digit, Look, draw_scene, in_order

LOOKS = [
    Look(),
    Look(sizes=(8,)),
    Look(contrast=(0.35, 0.6), noise=0.08),
    Look(inverted=True, class_weights=(0.2, 0.2, *[0.075] * 8)),
]


@pytest.fixture(params=LOOKS, ids=["plain", "small", "faint", "inverted"], scope="module")
def scenes(request):
    rng = np.random.default_rng(11)
    return [draw_scene(rng, pools()["val"], request.param) for _ in range(200)]


def test_scenes_hold_one_to_three_digits_of_different_classes(scenes):
    assert {len(scene.digits) for scene in scenes} == {1, 2, 3}
    for scene in scenes:
        numbers = [digit.number for digit in scene.digits]
        assert len(set(numbers)) == len(numbers)


def test_digits_lie_on_the_lattice_and_inside_the_canvas(scenes):
    for digit in (digit for scene in scenes for digit in scene.digits):
        edges = (digit.left, digit.top, digit.right, digit.bottom)
        assert all(edge % LATTICE == 0 and 0 <= edge <= CANVAS for edge in edges)
        assert digit.right - digit.left == digit.bottom - digit.top in (8, 12)


def test_digits_do_not_share_a_pixel(scenes):
    for scene in scenes:
        cover = np.zeros((CANVAS, CANVAS), int)
        for digit in scene.digits:
            cover[digit.top : digit.bottom, digit.left : digit.right] += 1
        assert cover.max() == 1


def test_no_two_digits_share_the_column_or_row_of_their_centres(scenes):
    for a, b in (pair for scene in scenes for pair in combinations(scene.digits, 2)):
        assert a.left + a.right != b.left + b.right
        assert a.top + a.bottom != b.top + b.bottom


def test_handwriting_comes_from_the_given_pool_and_shows_the_named_digit(scenes):
    for scene in scenes:
        assert set(scene.sources) <= set(pools()["val"].indices)
        assert [digit_class(source) for source in scene.sources] == [digit.number for digit in scene.digits]


def test_without_noise_the_pixels_are_the_handwriting_and_nothing_else():
    scene = draw_scene(np.random.default_rng(3), pools()["test"], Look(noise=0.0))
    expected = np.zeros((CANVAS, CANVAS))
    for digit, source in zip(scene.digits, scene.sources, strict=True):
        size = digit.right - digit.left
        for y in range(size):
            for x in range(size):
                expected[digit.top + y, digit.left + x] = digit_image(source, size)[y, x]

    assert np.abs(scene.pixels - 255 * expected).max() <= 0.51


def test_an_inverted_look_is_dark_on_light():
    rng = np.random.default_rng(4)
    light = [draw_scene(rng, pools()["val"], Look(inverted=True)).pixels.mean() for _ in range(20)]
    dark = [draw_scene(rng, pools()["val"], Look()).pixels.mean() for _ in range(20)]

    assert min(light) > 128 > max(dark)


def test_the_middle_line_belongs_to_the_right_and_the_bottom():
    assert Digit(1, 12, 12, 20, 20).quarter == "bottom right"
    assert Digit(1, 8, 8, 20, 20).quarter == "top left"


def test_order_follows_the_centres_not_the_edges():
    wide, narrow = Digit(1, 0, 0, 12, 12), Digit(2, 0, 16, 8, 24)

    assert in_order([wide, narrow], "right") == [narrow, wide]
    assert in_order([narrow, wide], "down") == [wide, narrow]
