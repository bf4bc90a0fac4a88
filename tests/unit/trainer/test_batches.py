"""Steps and micro-batches."""

from itertools import chain
from pathlib import Path

import pytest
import torch
from pilot_model.conversation import IGNORED, Encoded
from pilot_model.generate import left_padded
from pilot_trainer.batches import Example, micro_batches, plan_steps
from pilot_trainer.movement import adapter_of, excused, unmoved

PAD = 0
BATCH_TENSOR = torch.ones(2)


def example(prompt: int, answer: int, image: str | None = None) -> Example:
    ids = tuple(range(1, prompt + answer + 1))
    return Example(Encoded(ids, (IGNORED,) * prompt + ids[prompt:]), Path(image) if image else None)


BATCH = [example(3, 2, "a"), example(1, 1), example(2, 4, "b"), example(5, 1, "c")]


def test_every_epoch_sees_every_example_once_in_an_order_of_its_own():
    steps = plan_steps(10, epochs=2, batch_size=4, seed=1)
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*steps[:3])), list(chain(*steps[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_the_order_depends_on_the_seed_only():
    assert plan_steps(10, 1, 4, seed=1) == plan_steps(10, 1, 4, seed=1)
    assert plan_steps(10, 1, 4, seed=1) != plan_steps(10, 1, 4, seed=2)


def test_a_micro_batch_is_padded_on_the_right_and_predicts_answers_only():
    (batch,) = micro_batches(BATCH[:2], 2, "token-mean", PAD)
    assert batch.ids_BL.tolist() == [[1, 2, 3, 4, 5], [1, 2, 0, 0, 0]]
    assert batch.predicts_BL.tolist() == [[False, False, True, True, False], [True, False, False, False, False]]
    assert batch.targets_M.tolist() == [4, 5, 2]


@pytest.mark.parametrize("averaging", ["token-mean", "answer-mean"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_weights_and_image_shares_add_up_to_one_however_a_batch_is_cut(averaging, size):
    cut = micro_batches(BATCH, size, averaging, PAD)
    assert sum(batch.weights_M.sum().item() for batch in cut) == pytest.approx(1)
    assert sum(batch.image_share for batch in cut) == pytest.approx(1)
    assert sum(len(batch.images) for batch in cut) == 3


def test_averaging_by_tokens_or_by_answers_weighs_a_long_answer_differently():
    by_token, by_answer = (micro_batches(BATCH[:2], 2, how, PAD)[0] for how in ("token-mean", "answer-mean"))
    assert by_token.weights_M.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert by_answer.weights_M.tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 2])


def test_a_batch_without_images_has_no_image_share():
    (batch,) = micro_batches([BATCH[1]], 1, "token-mean", PAD)
    assert batch.images == ()
    assert batch.image_share == 0


def test_a_weightless_batch_counts_for_nothing():
    (batch,) = micro_batches(BATCH, 4, "token-mean", PAD)
    assert batch.weightless().weights_M.sum() == batch.weightless().image_share == 0


def test_prompts_are_padded_on_the_left_for_generation():
    ids, mask = left_padded([[5, 6], [7, 8, 9]], PAD)
    assert ids.tolist() == [[0, 5, 6], [7, 8, 9]]
    assert mask.tolist() == [[0, 1, 1], [1, 1, 1]]


def test_adapters_are_known_by_their_parameters():
    projector = "llava.model.multi_modal_projector."
    assert adapter_of(projector + "task.linear_1.weight") == "task"
    assert adapter_of(projector + "cross.caption.linear_2.bias") == "cross.caption"
    assert adapter_of(projector + "router.weight") == "router"
    assert adapter_of("llava.model.language_model.layers.0.q_proj.lora_A.default.weight") == "text"


def test_an_adapter_that_stands_still_is_named_and_one_moved_value_is_enough():
    before = {"x.lora_A": BATCH_TENSOR, "multi_modal_projector.task.w": BATCH_TENSOR, "y.lora_B": BATCH_TENSOR}
    after = {**before, "y.lora_B": BATCH_TENSOR + 1}
    assert unmoved(before, after) == ["task"]
    assert unmoved(before, before) == ["task", "text"]


def test_only_unchosen_adapters_and_a_router_without_choice_may_stand_still():
    still = ["client", "cross.a", "router", "task", "text"]
    assert excused(still, sparse_routing=False, num_tasks=3) == []
    assert excused(still, sparse_routing=True, num_tasks=3) == ["cross.a", "task"]
    assert excused(still, sparse_routing=False, num_tasks=1) == ["router"]
