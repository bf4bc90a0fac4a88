"""A step is its whole effective batch, however it is cut, padded or cached."""

import multiprocessing
import os
import socket
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from pilot_digits.models import DIGITS_TINY
from pilot_model.conversation import IGNORED, Encoded
from pilot_model.lora import TextAdapter
from pilot_model.model import as_image_features, load_base
from pilot_model.parts import Sources
from pilot_proto.training import Training
from pilot_trainer.batches import Example
from pilot_trainer.initial import start_of_training
from pilot_trainer.optimiser_state import keep_moments, moments
from pilot_trainer.probe import Memory, micro_batch_size
from pilot_trainer.student import Student
from pilot_trainer.train import Learner

TASKS = ("caption", "grounding", "vqa")
IMAGE_TOKEN, NUM_IMAGE_TOKENS, PAD = 3, 16, 0


def example(seed: int, with_image: bool) -> Example:
    """Random words after an image; the last one to four are the answer."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 99, (int(torch.randint(6, 20, (1,), generator=g)),), generator=g).tolist()
    answer = int(torch.randint(1, 5, (1,), generator=g))
    image = [IMAGE_TOKEN] * NUM_IMAGE_TOKENS if with_image else []
    labels = [IGNORED] * (len(image) + 1 + len(ids) - answer) + ids[-answer:]
    return Example(Encoded((1, *image, *ids), tuple(labels)), Path(f"{seed}.png") if with_image else None)


# The second in each half has no image.
BATCH = [example(seed, with_image=seed % 4 != 1) for seed in range(8)]


def features(images):
    """Random features that depend on the image only."""
    seeds = [torch.Generator().manual_seed(100 + int(image.stem)) for image in images]
    return torch.stack([torch.randn(NUM_IMAGE_TOKENS, 96, generator=g) for g in seeds])


def learner(program: str, examples=None, **settings) -> Learner:
    base = load_base(DIGITS_TINY, "fp32", torch.device("cpu"))
    training = Training(
        effective_batch_size=8, lora={"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}, precision="fp32", **settings
    )
    adapter = TextAdapter(base.llava, training.lora)
    start = adapter.start(0)
    # B is zero at the start, and the gradient of A with it.
    adapter.load({name: t + 0.02 for name, t in start.items()})
    first = start_of_training(
        "stage-1", "vqa", Sources(base.psi_0, base.psi_0, {}, {}), training.connector, base.act, 1
    )
    private = {name: t.detach() for name, t in first.state_dict().items()}
    sources = Sources(base.psi_0, base.psi_0, dict.fromkeys(TASKS, base.psi_0), private)
    base.use(start_of_training(program, "vqa", sources, training.connector, base.act, 2))
    student = Student(base.llava, training.losses).eval()
    return Learner(Accelerator(), student, program, training, examples or BATCH, features, PAD, 0)


def gradients(program: str, **settings):
    """Loss parts of one step, and the gradient of every trained parameter."""
    found = learner(program, **settings)
    done = found.accumulate()
    names = {name for parts in done for name in parts}
    parts = {name: sum(part[name].sum().item() for part in done if name in part) for name in names}
    return parts, {name: p.grad for name, p in found.trained.items()}


def assert_equal(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-6, abs=1e-6)
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, other[1][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("averaging", ["token-mean", "answer-mean"])
@pytest.mark.parametrize("program", ["plain", "stage-1", "stage-2"])
def test_micro_batches_give_the_loss_and_the_gradient_of_the_whole_batch(program, averaging):
    losses = {"cross_entropy": averaging}
    whole = gradients(program, micro_batch_size=8, losses=losses)
    assert_equal(gradients(program, micro_batch_size=2, losses=losses), whole)
    assert_equal(gradients(program, micro_batch_size=1, losses=losses), whole)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_process(rank: int, world: int, port: int, program: str, file: Path) -> None:
    """One of several data-parallel processes; the first writes down its gradients and its share of the loss."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }
    AcceleratorState._reset_state(reset_partial_state=True)
    parts, grads = gradients(program)
    torch.save((parts["total"], grads), file.with_suffix(f".{rank}"))


@pytest.mark.parametrize("program", ["stage-1", "stage-2"])
def test_two_processes_give_the_gradient_of_one(program, tmp_path):
    file, port, fork = tmp_path / "gradients", free_port(), multiprocessing.get_context("fork")
    children = [fork.Process(target=in_process, args=(rank, 2, port, program, file)) for rank in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    (total_0, grads_0), (total_1, grads_1) = (torch.load(file.with_suffix(f".{rank}")) for rank in range(2))
    parts, grads = gradients(program)
    assert total_0 + total_1 == pytest.approx(parts["total"], rel=1e-6)
    for name, gradient in grads.items():
        torch.testing.assert_close(grads_0[name], gradient, rtol=1e-4, atol=1e-6)
        assert torch.equal(grads_0[name], grads_1[name])


def test_balance_per_image_is_exact_too():
    losses = {"balance_over": "image"}
    assert_equal(
        gradients("stage-2", micro_batch_size=1, losses=losses), gradients("stage-2", micro_batch_size=8, losses=losses)
    )


def test_the_whole_loss_is_the_weighted_sum_of_its_parts():
    parts, _ = gradients("stage-1")
    assert parts["total"] == pytest.approx(parts["cross_entropy"] + 0.1 * parts["difference"], rel=1e-6)
    parts, _ = gradients("stage-2")
    assert parts["gates"] == pytest.approx(1.0)
    assert parts["total"] == pytest.approx(
        parts["cross_entropy"] + 0.1 * parts["balance"] + 0.01 * parts["z"], rel=1e-6
    )


def test_padding_does_not_change_what_is_computed():
    parts, _ = gradients("stage-1", losses={"cross_entropy": "answer-mean"})
    alone = []
    for one in BATCH:
        (single,) = learner("stage-1", [one]).accumulate()
        alone.append(single["cross_entropy"].item())
    assert parts["cross_entropy"] == pytest.approx(sum(alone) / 8, abs=1e-6)


def test_cross_entropy_equals_that_of_transformers_for_a_stock_model():
    found = learner("plain", BATCH[:1])
    (part,) = found.accumulate()
    stock = load_base(DIGITS_TINY, "fp32", torch.device("cpu"))
    adapter = TextAdapter(stock.llava, found.settings.lora)
    adapter.load({name: t + 0.02 for name, t in adapter.start(0).items()})
    encoded, image = BATCH[0].encoded, BATCH[0].image
    x = stock.llava.model.multi_modal_projector(features([image]))
    loss = stock.llava(
        input_ids=torch.tensor([encoded.ids]),
        labels=torch.tensor([encoded.labels]),
        mm_encoder_outputs={"image": as_image_features(x)},
    ).loss
    assert part["cross_entropy"].item() == pytest.approx(loss.item(), abs=1e-6)


def test_checkpointing_activations_changes_no_gradient():
    plain = gradients("stage-2")
    found = learner("stage-2")
    found.student.llava.activation_checkpointing_enable()
    found.student.train()
    parts = found.accumulate()
    got = {name: p.grad for name, p in found.trained.items()}
    assert_equal(({name: v.sum().item() for name, v in parts[0].items()}, got), plain)


def test_a_step_moves_every_adapter_and_a_text_only_batch_no_connector():
    found = learner("stage-2")
    before = {name: p.detach().clone() for name, p in found.trained.items()}
    found.step()
    assert all(not torch.equal(p, before[name]) for name, p in found.trained.items())
    silent = learner("stage-2", [BATCH[1]])
    before = {name: p.detach().clone() for name, p in silent.trained.items()}
    silent.step()
    for name, p in silent.trained.items():
        assert torch.equal(p, before[name]) == ("multi_modal_projector" in name), name


def test_rates_are_set_by_program_and_adapter():
    rates = {"stage-2": {"connector": 1e-3, "text": 5e-4}}
    found = learner("stage-2", learning_rate=rates, lr_scheduler="constant")
    assert [group["lr"] for group in found.optimiser.param_groups] == [1e-3, 5e-4]
    sizes = [len(group["params"]) for group in found.optimiser.param_groups]
    assert sizes == [4 * 3 + 2, 2 * 21]


def test_moments_start_fresh_or_go_on_by_name():
    found = learner("stage-2")
    found.step()
    kept = moments(found)
    again = learner("stage-2")
    assert not again.optimiser.state
    keep_moments(again, kept)
    found_again = moments(again)
    assert found_again.keys() == kept.keys()
    assert all(torch.equal(t, found_again[name]) for name, t in kept.items())
    again.step()
    assert {t.item() for name, t in moments(again).items() if name.startswith("step/")} == {2.0}


@pytest.mark.parametrize("batch", [BATCH, [e for e in BATCH if e.image is None]], ids=["images", "text only"])
def test_checkpointing_changes_no_gradient(batch):
    """Not even that of a batch without images, whose inputs need none."""
    found = []
    for checkpointing in (False, True):
        work = learner("stage-2", batch)
        if checkpointing:
            work.student.llava.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        work.student.train()
        work.student.llava.model.vision_tower.eval()
        work.accumulate()
        found.append({name: p.grad for name, p in work.trained.items()})
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in found[0].values())
    for name, gradient in found[0].items():
        assert (gradient is None) == (found[1][name] is None), name
        assert gradient is None or torch.equal(gradient, found[1][name]), name


@pytest.mark.parametrize("program", ["stage-1", "stage-2"])
def test_a_trial_for_the_micro_batch_leaves_nothing_behind(program):
    tried, untried = learner(program), learner(program)
    tried.student.train()
    state = torch.get_rng_state()
    tried.trial(4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in tried.trained.values())
    assert tried.student.connector.take_trace() is None
    tried.student.eval()
    tried.accumulate()
    untried.accumulate()
    for name, parameter in tried.trained.items():
        assert torch.equal(parameter.grad, untried.trained[name].grad), name


def test_a_trial_that_runs_out_of_memory_leaves_nothing_behind_either():
    def full(images):
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return features(images)

    work = learner("stage-1", [e for e in BATCH if e.image is not None])
    work._features = full
    memory = Memory(room=1 << 40, peak_of=lambda trial: trial() or 1)
    assert micro_batch_size(8, None, memory, work.trial) == 2
    assert all(p.grad is None for p in work.trained.values())
