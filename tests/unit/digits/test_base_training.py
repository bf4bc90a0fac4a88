"""The script that makes the base model, in parts and in miniature."""

import numpy as np
import pytest
import torch
from pilot_digits.base.architecture import grey_model, parameter_counts, patch_features, three_channels
from pilot_digits.base.batches import IGNORED, pixel_batch, query_batch, text_batch
from pilot_digits.base.formats import format_text
from pilot_digits.base.objectives import answer_logits, answer_loss, exactly_right, patch_classes
from pilot_digits.base.pretraining import Phase, Recipe, pretrain
from pilot_digits.generic import reading_query
from pilot_digits.handwriting import pools
from pilot_digits.scenes import Digit, Look, draw_layout, draw_scene
from pilot_digits.vocabulary import TOKEN_IDS, VOCABULARY, unknown_words


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    return grey_model().eval()


def queries(num: int):
    rng = np.random.default_rng(8)
    return [reading_query(rng, pools()["base"]) for _ in range(num)]


def classes_pixel_by_pixel(digits: tuple[Digit, ...]) -> list[int]:
    classes = []
    for top in range(0, 32, 8):
        for left in range(0, 32, 8):
            covers = [
                sum(
                    d.left <= x < d.right and d.top <= y < d.bottom
                    for x in range(left, left + 8)
                    for y in range(top, top + 8)
                )
                for d in digits
            ]
            most = max(covers)
            classes.append(digits[covers.index(most)].number + 1 if most > 16 else 0)
    return classes


def test_a_patch_has_the_class_of_the_digit_that_covers_most_of_it():
    rng = np.random.default_rng(2)
    for digits in [draw_layout(rng, Look()) for _ in range(100)]:
        covered_alike = [a == b for a, b in zip(patch_classes(digits), classes_pixel_by_pixel(digits), strict=True)]
        # Two digits may cover the same part of a patch; either may then name it.
        assert sum(covered_alike) >= 15


def test_a_quarter_of_a_patch_is_not_enough_and_a_half_is():
    assert patch_classes([Digit(3, 4, 4, 12, 12)]).sum() == 0
    assert patch_classes([Digit(3, 0, 4, 8, 12)]).reshape(4, 4)[:2, 0].tolist() == [4, 4]


def test_only_the_answer_and_its_end_carry_loss():
    ids, labels = text_batch([("list the digits .", "two"), ("read from the top .", "two nine one")])
    words = [[VOCABULARY[token] for token in row] for row in ids.tolist()]

    assert words[0] == ["list", "the", "digits", ".", "two", "<eos>", "<pad>", "<pad>", "<pad>"]
    assert labels[0].tolist() == [IGNORED] * 4 + [TOKEN_IDS["two"], TOKEN_IDS["<eos>"]] + [IGNORED] * 3
    assert labels[1].tolist() == [IGNORED] * 5 + ids[1, 5:].tolist()


def test_logits_are_those_of_the_stock_forward_pass(model):
    batch = queries(6)
    pixels, ids, labels = query_batch(batch)
    image = model.model.multi_modal_projector(patch_features(model, pixels))
    front = torch.tensor([[TOKEN_IDS["<bos>"]] + [TOKEN_IDS["<image>"]] * 16]).expand(len(batch), -1)
    with torch.no_grad():
        ours = answer_logits(model, image, ids)
        stock = model(input_ids=torch.cat([front, ids], dim=1), pixel_values=pixels).logits[:, 16:-1]

    used = labels != IGNORED
    torch.testing.assert_close(ours[used], stock[used], atol=1e-5, rtol=1e-5)


def test_answer_loss_is_the_mean_over_answer_tokens():
    logits = torch.randn(2, 3, 99, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[IGNORED, 7, 2], [IGNORED, IGNORED, 4]])
    naive = [-torch.log_softmax(logits[row, at], -1)[labels[row, at]] for row, at in [(0, 1), (0, 2), (1, 2)]]

    torch.testing.assert_close(answer_loss(logits, labels), torch.stack(naive).mean())


def test_an_answer_is_exactly_right_only_when_each_of_its_tokens_is():
    labels = torch.tensor([[IGNORED, 1, 2], [IGNORED, 1, 2], [IGNORED, IGNORED, 2]])
    best = torch.tensor([[9, 1, 2], [9, 1, 3], [1, 0, 2]])
    logits = torch.nn.functional.one_hot(best, 10).float()

    assert exactly_right(logits, labels).tolist() == [True, False, True]


def test_three_equal_channels_give_what_one_channel_gave(model):
    scenes = [query.scene for query in queries(4)]
    grey = pixel_batch(scenes)
    with torch.no_grad():
        one = patch_features(model, grey)
        three = patch_features(three_channels(model), grey.repeat(1, 3, 1, 1))

    torch.testing.assert_close(one, three, atol=1e-5, rtol=1e-4)


def test_the_model_has_the_documented_sizes(model):
    assert parameter_counts(three_channels(model)) == {"vision": 356_064, "connector": 18_624, "text": 328_128}


def test_format_texts_cover_the_three_tasks_in_known_words():
    rng = np.random.default_rng(0)
    pairs = [format_text(rng) for _ in range(200)]

    assert {word for pair in pairs for text in pair for word in unknown_words(text)} == set()
    assert {"yes", "["} < {answer.split()[0] for _, answer in pairs}
    assert any(" above " in answer for _, answer in pairs)


def test_pretraining_twice_gives_the_same_weights_and_moves_all_that_is_used():
    def short() -> Phase:
        return Phase(steps=2, batch=4, learning_rate=1e-3, texts=2, text_weight=0.3)

    def train() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = grey_model()
        pretrain(model, Recipe(num_queries=1100, see=short(), read=short(), point=short()))
        return model.state_dict()

    torch.manual_seed(0)
    start, one, two = grey_model().state_dict(), train(), train()
    still = {name.rsplit(".", 2)[-2] for name in start if torch.equal(start[name], one[name])}

    assert all(torch.equal(one[name], two[name]) for name in one)
    assert still <= {"post_layernorm", "embeddings"}, "the last norm of CLIP is unused; position ids are constants"


def test_the_pool_of_the_base_is_the_only_handwriting_it_sees():
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, pools()["base"], Look()) for _ in range(50)]

    assert {source for scene in scenes for source in scene.sources} <= set(pools()["base"].indices)
