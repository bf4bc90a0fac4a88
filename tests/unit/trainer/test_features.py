"""The feature cache: when it is on, what it depends on, when it gives way."""

import logging

import pytest
import torch
from PIL import Image
from pilot_model.encoder import Encoder
from pilot_model.pixels import padded_to_square, pixels_of
from pilot_trainer.errors import Temporary
from pilot_trainer.features import SHARD_IMAGES, Cache, features_for

PER_IMAGE = 16 * 96 * 4
PLENTY = 1 << 30


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        Image.effect_noise((32, 32), 40 + i).save(path)
    return paths


def cached(base, images, folder, max_bytes=PLENTY, check=lambda: None):
    return features_for(base, images, folder, max_bytes, check)


def test_cached_features_are_the_encoders(base, images, tmp_path):
    cache = cached(base, images, tmp_path / "features")
    assert isinstance(cache, Cache)
    assert torch.equal(cache(images[::-1]), Encoder(base)(images).flip(0))


def test_features_are_encoded_once_and_found_again(base, images, tmp_path):
    checks = []
    cached(base, images * 2, tmp_path / "features", check=lambda: checks.append(1))
    assert len(checks) == 1
    cached(base, images, tmp_path / "features", check=lambda: checks.append(1))
    assert len(checks) == 1


def test_shards_are_finished_by_whoever_comes_next(base, tmp_path):
    images = [tmp_path / f"{i}.png" for i in range(2 * SHARD_IMAGES + 1)]
    for i, path in enumerate(images):
        Image.new("L", (32, 32), i).save(path)
    calls = []

    def stop_at_the_third():
        calls.append(1)
        if len(calls) == 3:
            raise Temporary("stop")

    with pytest.raises(Temporary):
        cached(base, images, tmp_path / "features", check=stop_at_the_third)
    cache = cached(base, images, tmp_path / "features", check=lambda: calls.append(1))
    assert len(calls) == 4
    assert torch.equal(cache(images[-1:]), Encoder(base)(images[-1:]))


def test_other_bytes_under_the_same_name_are_other_features(base, images, tmp_path):
    before = cached(base, images, tmp_path / "features")(images)
    Image.effect_noise((32, 32), 120).save(images[0])
    after = cached(base, images, tmp_path / "features")(images)
    assert not torch.equal(before[0], after[0])
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_a_cache_that_would_be_too_large_is_off_and_says_so(base, images, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = cached(base, images, tmp_path / "features", max_bytes=5 * PER_IMAGE - 1)
    assert isinstance(found, Encoder)
    assert caplog.records[0].getMessage() == "feature cache off"
    assert f"max_bytes is {5 * PER_IMAGE - 1}" in caplog.records[0].reason
    assert isinstance(cached(base, images, tmp_path / "features", max_bytes=5 * PER_IMAGE), Cache)


def test_features_of_other_data_make_room(base, images, tmp_path):
    folder = tmp_path / "features"
    cached(base, images[:2], folder)
    cached(base, images[2:], folder, max_bytes=4 * PER_IMAGE)
    assert len(list(folder.iterdir())) == 1


def test_without_images_there_is_nothing_to_keep(base, tmp_path):
    assert isinstance(cached(base, [], tmp_path / "features"), Encoder)
    assert not (tmp_path / "features").exists()


def test_a_wide_image_stands_in_the_middle_of_a_square_of_the_mean_colour(base):
    square = padded_to_square(Image.new("RGB", (4, 2), (255, 0, 0)), (1, 2, 3))
    rows = [square.getpixel((0, y)) for y in range(4)]
    assert square.size == (4, 4)
    assert rows == [(1, 2, 3), (255, 0, 0), (255, 0, 0), (1, 2, 3)]


def test_nothing_of_a_wide_image_is_cropped(base, tmp_path):
    Image.new("RGB", (64, 32), (255, 255, 255)).save(tmp_path / "wide.png")
    pixels = pixels_of([tmp_path / "wide.png"], base.processor.image_processor)
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels[0, 0, 16].tolist() == pytest.approx([1.0] * 32)
    assert pixels[0, 0, 2].abs().max() < 0.02
