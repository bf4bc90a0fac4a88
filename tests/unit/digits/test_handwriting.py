import numpy as np
from pilot_digits.handwriting import POOL_SIZES, digit_class, digit_image, pools
from sklearn.datasets import load_digits


def test_pools_have_the_documented_sizes_and_together_hold_every_image_once():
    every = [index for pool in pools().values() for index in pool.indices]

    assert {name: len(pool.indices) for name, pool in pools().items()} == dict(POOL_SIZES)
    assert sorted(every) == list(range(1797))


def test_no_two_pools_hold_the_same_picture_under_different_indices():
    images = load_digits().images
    bytes_of = {name: {images[i].tobytes() for i in pool.indices} for name, pool in pools().items()}

    assert sum(map(len, bytes_of.values())) == len(set.union(*bytes_of.values()))


def test_a_pool_files_each_image_under_its_own_class():
    for pool in pools().values():
        assert sorted(index for part in pool.by_class for index in part) == sorted(pool.indices)
        for number, part in enumerate(pool.by_class):
            assert part, "a class without handwriting could not be drawn"
            assert {digit_class(index) for index in part} == {number}


def test_an_image_at_its_own_size_is_the_scan():
    np.testing.assert_allclose(digit_image(5, 8), load_digits().images[5] / 16, atol=1e-6)


def test_an_enlarged_image_is_bilinear():
    scan = load_digits().images[7] / 16
    at = np.clip((np.arange(12) + 0.5) * 8 / 12 - 0.5, 0, 7)
    low = np.minimum(at.astype(int), 6)
    part = at - low
    rows = scan[low] * (1 - part)[:, None] + scan[low + 1] * part[:, None]
    naive = rows[:, low] * (1 - part) + rows[:, low + 1] * part

    np.testing.assert_allclose(digit_image(7, 12), naive, atol=1e-5)
