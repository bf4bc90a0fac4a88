"""The personal model, exported where its private state is: the trainer's own model to the bit, at both points."""

import ast
import json
import re
import shutil
import subprocess
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pilot_model
import pytest
import torch
from environments import python_of
from peft import PeftModel
from PIL import Image
from pilot_client.transport import Token
from pilot_digits.models import DIGITS_TINY
from pilot_model.assembly import as_published, as_saved
from pilot_model.conversation import Chat, prompt_text
from pilot_model.encoder import Encoder
from pilot_model.errors import FolderError
from pilot_model.exporting import folded_bytes
from pilot_model.generate import answers
from pilot_model.lora import TextAdapter
from pilot_model.model import Base, as_image_features, load_base
from pilot_model.parts import Sources, under
from pilot_model.pixels import pixels_of
from pilot_trainer.environment import Environment
from pilot_trainer.errors import BadAssignment, BadConfiguration
from pilot_trainer.export import Order, export, run
from pilot_trainer.predict import predict
from pilot_trainer.results import find_result
from safetensors.torch import load, save
from training.conftest import SETTINGS, TASKS, Site
from training.services import Services, serving
from transformers import LlavaForConditionalGeneration

pytestmark = pytest.mark.training

CPU = torch.device("cpu")
QUESTIONS = ("how many digits are there ?", "which digit is the leftmost ?", "is there a three ?")
LAST = {"staged": 2, "plain": 1}
CASES = [("plain", 1), ("staged", 1), ("staged", 2)]
POINTS = ("merged", "local")


@dataclass
class Tuned:
    """A client whose rounds are over, and a merge that gave it something else than it uploaded."""

    site: Site

    def environment(self, number: int, **changes) -> Environment:
        return replace(Environment.read(self.site.environ()), round=number, patience_s=0, **changes)

    def exported(self, number: int, out: Path, **order) -> Path:
        self.site.services.methods.clear()
        export(self.environment(number), Order(out, **order))
        assert set(self.site.services.methods) == {"GET"}
        return out

    def images(self, count: int = 3) -> list[Path]:
        return sorted((self.site.data / self.site.client / "images").glob("test-*.png"))[:count]

    def tensors(self, ref, file: str) -> dict[str, torch.Tensor]:
        return load(self.site.services.downloads[ref.repo, ref.commit][file])

    def trainers_model(self, number: int, point: str) -> Base:
        """As `LocalUpdate` builds it when it measures this point."""
        after = self.site.services.assignments[number + 1]
        result = find_result(self.site.state, after.private_state.update)
        private, settings = result.private(), after.training.connector
        base = load_base(DIGITS_TINY, "fp32", CPU)
        adapter, local = TextAdapter(base.llava, after.training.lora), under("connector", private)
        if point == "local":
            connector, text = as_saved(result.update.program, "vqa", local, settings, base.act), under("text", private)
        else:
            text = self.tensors(after.inputs.text, "adapter_model.safetensors")
            own = self.tensors(after.inputs.connector, "model.safetensors")
            tasks = {t: self.tensors(ref, "model.safetensors") for t, ref in after.inputs.task_connectors.items()}
            sources = Sources(base.psi_0, own, tasks, local)
            connector = as_published(result.update.program, "vqa", sources, settings, base.act)
        adapter.load(text)
        base.use(connector.eval())
        base.llava.eval()
        return base


def merged_with_others(site: Site, seed: int) -> None:
    """What the round publishes is not what this client uploaded, and another connector for each task."""
    g = torch.Generator().manual_seed(seed)

    def published(repo, ref):
        files = dict(site.services.downloads[ref.repo, ref.commit])
        for name, raw in files.items():
            tensors = {key: t + torch.randn(t.shape, generator=g) * 0.02 for key, t in load(raw).items()}
            files[name] = save(tensors, metadata={"format": "pt"})
        made = site.services.put(repo, files)
        site.services.downloads[repo, made.commit] = files
        return made

    site.text = published(site.text.repo, site.text)
    first = site.connector
    tasks = {task: published(f"digits/task-{task}-connector", first) for task in TASKS}
    site.connector = tasks["vqa"]
    site.others = tasks


def assigned(site: Site, number: int, program: str):
    """An assignment with each task's own connector where the client's model needs them."""
    mixed = program == "stage-2" or (site.private and site.private.program == "stage-2")
    made = site.assign(number, program)
    inputs = made.inputs.model_copy(update={"task_connectors": site.others if mixed else {}})
    return {"inputs": inputs}


@pytest.fixture(scope="module")
def tuned(federation, tmp_path_factory):
    with serving(Services()) as staged, serving(Services()) as plain:
        made = {}
        for name, services, programs in (("staged", staged, ["stage-1", "stage-2"]), ("plain", plain, ["plain"])):
            site = Site(services, federation / "data", tmp_path_factory.mktemp(name) / "state")
            site.settings = SETTINGS | {"num_train_epochs": 1}
            site.go(0, "prepare")
            for number, program in enumerate(programs, 1):
                site.go(number, program, **(assigned(site, number, program) if number > 1 else {}))
                merged_with_others(site, number)
            after = len(programs) + 1
            site.assign(after, "evaluate", **assigned(site, after, "evaluate"))
            made[name] = Tuned(site)
        yield made


@pytest.fixture(scope="module")
def folders(tuned, tmp_path_factory):
    """One export per program and point."""
    place = tmp_path_factory.mktemp("exported")
    return {
        (name, number, point): tuned[name].exported(number, place / f"{name}-{number}-{point}", point=point)
        for name, number in CASES
        for point in POINTS
    }


def trainers_logits(base: Base, question: str, image: Path) -> torch.Tensor:
    ids = Chat(base.processor, base.image_token, base.num_image_tokens).prompt([(question, "")], True)
    H = Encoder(base)([image])
    seen = {"image": as_image_features(base.llava.model.multi_modal_projector(H))}
    return base.llava(input_ids=torch.tensor([ids]), mm_encoder_outputs=seen).logits


def logits(model, processor, question: str, image: Path) -> torch.Tensor:
    text = prompt_text(processor, question, True)
    return model(**processor(images=image, text=text, return_tensors="pt")).logits


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("name", "number"), CASES, ids=["plain", "stage-1", "stage-2"])
def test_a_loaded_model_is_the_trainers_own_to_the_bit(tuned, folders, name, number, point):
    base = tuned[name].trainers_model(number, point)
    model, processor = pilot_model.load(folders[name, number, point])
    (image, *_) = tuned[name].images()
    with torch.no_grad():
        mine, theirs = logits(model, processor, QUESTIONS[0], image), trainers_logits(base, QUESTIONS[0], image)
    assert torch.equal(mine, theirs)
    assert not any(p.requires_grad for p in model.parameters())


def test_what_is_merged_is_not_what_is_local(folders):
    for name, number in CASES:
        merged, local = (load((folders[name, number, p] / "connector.safetensors").read_bytes()) for p in POINTS)
        assert merged.keys() == local.keys()
        assert not torch.equal(merged["task.linear_1.weight"], local["task.linear_1.weight"])
        kept = [key for key in merged if key.split(".")[0] in ("client", "cross", "router")]
        assert all(torch.equal(merged[key], local[key]) for key in kept)


@pytest.mark.parametrize(("name", "number"), CASES, ids=["plain", "stage-1", "stage-2"])
def test_it_answers_what_the_trainer_measures(tuned, folders, name, number):
    base = tuned[name].trainers_model(number, "merged")
    model, processor = pilot_model.load(folders[name, number, "merged"])
    images = tuned[name].images()
    chat = Chat(base.processor, base.image_token, base.num_image_tokens)
    asked = list(zip(QUESTIONS, [*images[:2], None], strict=True))
    prompts = [chat.prompt([(question, "")], image is not None) for question, image in asked]
    measured = answers(base, Encoder(base), prompts, [image for _, image in asked], 8, "fp32")
    mine = [pilot_model.answer(model, processor, question, image, max_new_tokens=8) for question, image in asked]
    assert mine == measured
    assert all(mine)


def test_a_batch_of_images_of_three_sizes_gives_the_tokens_of_each_alone(tuned, folders, tmp_path):
    model, processor = pilot_model.load(folders["staged", 2, "merged"])
    with Image.open(tuned["staged"].images(1)[0]) as image:
        scene = image.convert("RGB")
    pictures = [scene, scene.resize((48, 20)), scene.resize((16, 40))]
    texts = [prompt_text(processor, question, True) for question in QUESTIONS]
    assert len({len(text) for text in texts}) == 3
    inputs = processor(images=pictures, text=texts, return_tensors="pt")
    assert inputs["attention_mask"][:, -1].tolist() == [1, 1, 1]
    together = model.generate(**inputs, max_new_tokens=6, min_new_tokens=6)[:, inputs["input_ids"].shape[1] :]
    for picture, text, row in zip(pictures, texts, together, strict=True):
        alone = processor(images=picture, text=text, return_tensors="pt")
        made = model.generate(**alone, max_new_tokens=6, min_new_tokens=6)
        assert made[0, alone["input_ids"].shape[1] :].tolist() == row.tolist()


def test_images_are_padded_to_a_square_as_in_training(tuned, folders, tmp_path):
    _, processor = pilot_model.load(folders["staged", 2, "merged"])
    with Image.open(tuned["staged"].images(1)[0]) as image:
        wide = image.convert("RGB").resize((60, 20))
    wide.save(tmp_path / "wide.png")
    trained_on = pixels_of([tmp_path / "wide.png"], processor.image_processor)
    assert torch.equal(processor(images=wide, text="<image> x", return_tensors="pt")["pixel_values"], trained_on)
    assert torch.equal(processor(images=str(tmp_path / "wide.png"), return_tensors="pt")["pixel_values"], trained_on)


def test_the_chat_template_of_transformers_gives_the_same_inputs(tuned, folders):
    model, processor = pilot_model.load(folders["staged", 2, "merged"])
    image = tuned["staged"].images(1)[0]
    messages = [
        {"role": "user", "content": [{"type": "image", "path": str(image)}, {"type": "text", "text": QUESTIONS[0]}]}
    ]
    theirs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    mine = processor(images=image, text=prompt_text(processor, QUESTIONS[0], True), return_tensors="pt")
    assert theirs.keys() == mine.keys()
    assert all(torch.equal(theirs[key], mine[key]) for key in mine)
    assert torch.equal(model.generate(**theirs), model.generate(**mine))


def test_embeddings_are_what_the_model_itself_puts_in_the_place_of_an_image(tuned, folders):
    model, processor = pilot_model.load(folders["staged", 2, "local"])
    images = tuned["staged"].images(2)
    seen = pilot_model.embeddings(model, processor, images)
    assert [tuple(x.shape) for x in seen] == [(16, 96), (16, 96)]
    for image, x_NC in zip(images, seen, strict=True):
        inputs = processor(images=image, text=prompt_text(processor, QUESTIONS[0], True), return_tensors="pt")
        words = model.get_input_embeddings()(inputs["input_ids"])
        words[inputs["input_ids"] == model.config.image_token_id] = x_NC
        with torch.no_grad():
            by_embeddings = model.model.language_model(inputs_embeds=words).last_hidden_state
            itself = model(**inputs, output_hidden_states=True).hidden_states[-1]
        assert torch.equal(by_embeddings, itself)


def test_in_bf16_branches_are_cast_and_router_and_lora_are_not(tuned, folders):
    model, processor = pilot_model.load(folders["staged", 2, "merged"], dtype=torch.bfloat16)
    connector = model.model.multi_modal_projector
    kinds = {name.split(".")[0]: p.dtype for name, p in connector.named_parameters()}
    assert kinds.pop("router") == torch.float32
    assert set(kinds.values()) == {torch.bfloat16}
    assert {p.dtype for name, p in model.named_parameters() if "lora_" in name} == {torch.float32}
    assert pilot_model.answer(model, processor, QUESTIONS[0], tuned["staged"].images(1)[0])


# -- the LoRA folded in


@pytest.mark.parametrize(("name", "number"), CASES, ids=["plain", "stage-1", "stage-2"])
def test_folded_weights_compute_the_same_up_to_rounding_and_need_no_base(tuned, folders, tmp_path, name, number):
    folder = tuned[name].exported(number, tmp_path / "folded", fold=True)
    assert not (folder / "text").exists()
    model, processor = pilot_model.load(folder)
    beside, _ = pilot_model.load(folders[name, number, "merged"])
    stock = LlavaForConditionalGeneration.from_pretrained(DIGITS_TINY, local_files_only=True).state_dict()
    mine = {key: t for key, t in model.state_dict().items() if "multi_modal_projector" not in key}
    assert mine.keys() == {key for key in stock if "multi_modal_projector" not in key}
    image = tuned[name].images(1)[0]
    with torch.no_grad():
        a, b = (logits(m, processor, QUESTIONS[0], image) for m in (model, beside))
    # W + BA is rounded once per weight: float32's 6e-8 relative, grown by three layers.
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert not torch.equal(a, b)


def test_a_folded_plain_model_is_a_stock_llava(tuned, folders, tmp_path):
    folder = tuned["plain"].exported(1, tmp_path / "folded", fold=True)
    stock, found = LlavaForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, output_loading_info=True
    )
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    model, processor = pilot_model.load(folder)
    image = tuned["plain"].images(1)[0]
    with torch.no_grad():
        assert torch.equal(*(logits(m.eval(), processor, QUESTIONS[0], image) for m in (stock, model)))


def test_the_size_of_folded_weights_is_known_before_they_are_written(tuned, tmp_path):
    folder = tuned["plain"].exported(1, tmp_path / "folded", fold=True)
    header_bytes = 20_000
    assert 0 <= (folder / "model.safetensors").stat().st_size - folded_bytes(DIGITS_TINY, "fp32") < header_bytes
    assert folded_bytes(DIGITS_TINY, "fp32") == 2 * folded_bytes(DIGITS_TINY, "bf16")


# -- the folder


def test_peft_alone_loads_the_text_adapter(tuned, folders):
    folder = folders["staged", 2, "merged"]
    stock = LlavaForConditionalGeneration.from_pretrained(DIGITS_TINY, local_files_only=True, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        loaded = PeftModel.from_pretrained(stock, folder / "text").eval()
    model, _ = pilot_model.load(folder)
    ids = torch.tensor([[1, 54, 55, 53, 8]])
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


def test_the_folder_says_what_it_is_and_lists_every_file(folders):
    folder = folders["staged", 2, "local"]
    said = json.loads((folder / "personal.json").read_text())
    assert (said["run"], said["round"], said["client"], said["task"]) == ("digits", 2, "vqa-1", "vqa")
    assert (said["point"], said["program"], said["text"]) == ("local", "stage-2", "adapter")
    assert said["router_tasks"] == list(TASKS)
    assert said["client_adapter"] is True
    assert said["max_new_tokens"] >= 1
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(said["files"]) == there - {"personal.json", "README.md"}
    assert {"text/adapter_config.json", "connector.safetensors", "tokenizer.json", "chat_template.jinja"} <= there
    assert "version" not in {key for key in said if key != "schema_version"}


def test_the_same_export_gives_the_same_bytes(tuned, folders, tmp_path):
    again = tuned["staged"].exported(2, tmp_path / "again")
    for path in again.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (folders["staged", 2, "merged"] / path.relative_to(again)).read_bytes()


def test_the_card_names_what_is_private_at_each_point(folders):
    cards = {key: (folder / "README.md").read_text() for key, folder in folders.items()}
    for (name, number, point), text in cards.items():
        assert ("psi^s" in text) == (name == "staged")
        assert ("the router and the cross-task adapters" in text) == ((name, number) == ("staged", 2))
        assert ("raw update" in text) == (point == "local")


# -- refusals


def test_a_folder_that_is_not_empty_is_not_written_over(tuned, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FolderError, match="not an empty folder"):
        tuned["staged"].exported(2, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_an_empty_folder_is_filled(tuned, tmp_path):
    (tmp_path / "out").mkdir()
    assert (tuned["staged"].exported(2, tmp_path / "out") / "personal.json").is_file()


@pytest.mark.parametrize(
    ("number", "reason"), [(0, "was not asked in round 0"), (3, "trains nothing"), (9, "was not asked in round 9")]
)
def test_a_round_without_a_model_of_this_client_is_named(tuned, tmp_path, number, reason):
    site = tuned["staged"].site
    asked = {n: a for n, a in site.services.assignments.items() if n}
    try:
        kept, site.services.assignments = site.services.assignments, asked
        with pytest.raises(BadAssignment, match=reason):
            tuned["staged"].exported(number, tmp_path / "out")
    finally:
        site.services.assignments = kept
    assert not any(tmp_path.iterdir())


def test_private_state_that_is_elsewhere_is_not_guessed(tuned, tmp_path):
    (tmp_path / "state").mkdir()
    environment = tuned["staged"].environment(2, state_dir=tmp_path / "state")
    with pytest.raises(
        BadAssignment, match=r"stays where the client trained: export there, or as a Job.*private_states: last"
    ):
        export(environment, Order(tmp_path / "out"))


def test_damaged_private_state_is_noticed(tuned, tmp_path):
    tuned_there = tuned["staged"]
    state = shutil.copytree(tuned_there.site.state, tmp_path / "state")
    for file in state.rglob("state.safetensors"):
        raw = bytearray(file.read_bytes())
        raw[-1] ^= 1
        file.write_bytes(raw)
    with pytest.raises(BadAssignment, match="is damaged"):
        export(tuned_there.environment(2, state_dir=state), Order(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_client_that_answered_earlier_only_has_no_local_model_of_the_round(tuned, tmp_path):
    there = tuned["staged"]
    site, real = there.site, there.site.services.assignments[3]
    earlier = site.services.assignments[2].private_state
    site.services.assignments[3] = real.model_copy(update={"private_state": earlier})
    try:
        with pytest.raises(BadAssignment, match=r"no accepted update of round 2; its last is of round 1"):
            there.exported(2, tmp_path / "local", point="local")
        merged = there.exported(2, tmp_path / "merged")
    finally:
        site.services.assignments[3] = real
    assert json.loads((merged / "personal.json").read_text())["program"] == "stage-1"


def test_another_base_than_the_run_was_prepared_with_is_refused(tuned, tmp_path):
    there = tuned["staged"]
    real = there.site.services.assignments[2]
    other = real.model_copy(update={"model": real.model.model_copy(update={"digest": "sha256:" + "0" * 64})})
    there.site.services.assignments[2] = other
    try:
        with pytest.raises(BadConfiguration, match="was prepared with sha256:000"):
            there.exported(2, tmp_path / "out")
    finally:
        there.site.services.assignments[2] = real


# -- before the next round has begun


def test_what_nobody_was_handed_yet_is_read_with_a_persons_credential(tuned, folders, tmp_path):
    there = tuned["staged"]
    site, real = there.site, there.site.services.assignments.pop(3)
    made = {ref.repo: ref.commit for ref in (real.inputs.text, *real.inputs.task_connectors.values())}
    try:
        with pytest.raises(BadAssignment, match="export with --point local"):
            there.exported(2, tmp_path / "unknown")
        local = there.exported(2, tmp_path / "local", point="local")
        order = Order(tmp_path / "merged", published=made)
        export(there.environment(2), order, Token(value="a person's"))
    finally:
        site.services.assignments[3] = real
    for folder, point in ((local, "local"), (tmp_path / "merged", "merged")):
        theirs = folders["staged", 2, point]
        assert (folder / "personal.json").read_bytes() == (theirs / "personal.json").read_bytes()


# -- as a program


def test_the_entry_of_a_job_writes_the_same_folder(tuned, folders, tmp_path):
    environ = tuned["staged"].site.environ(ROUND="2", OUT=str(tmp_path / "out"))
    assert run(environ) == 0
    written = (tmp_path / "out" / "personal.json").read_bytes()
    assert written == (folders["staged", 2, "merged"] / "personal.json").read_bytes()


def test_a_job_that_runs_twice_finds_its_folder_and_leaves_it_as_it_is(tuned, tmp_path):
    site = tuned["staged"].site
    out = site.state / "exports" / "digits-round-2-merged"
    environ = site.environ(ROUND="2", OUT="exports/digits-round-2-merged")
    assert run(environ) == 0
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*")}
    assert run(environ) == 0
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*")} == before
    for changes in ({"ROUND": "1"}, {"POINT": "local"}, {"MERGE_LORA": "1"}):
        assert run(environ | {f"PILOT_{name}": value for name, value in changes.items()}) == 78
        assert "exists and is not an empty folder" in (site.state / "last-words").read_text()
    (out / "connector.safetensors").write_bytes(b"")
    assert run(environ) == 78
    assert "is not what was exported" in (site.state / "last-words").read_text()
    shutil.rmtree(out)


def test_a_job_is_told_what_the_last_round_published(tuned, folders, tmp_path):
    site = tuned["staged"].site
    real = site.services.assignments.pop(3)
    made = {ref.repo: ref.commit for ref in (real.inputs.text, *real.inputs.task_connectors.values())}
    try:
        assert run(site.environ(ROUND="2", OUT=str(tmp_path / "none"))) == 64
        assert run(site.environ(ROUND="2", OUT=str(tmp_path / "out"), PUBLISHED=json.dumps(made))) == 0
        lost = dict.fromkeys(made, "0" * 40)
        assert run(site.environ(ROUND="2", OUT=str(tmp_path / "lost"), PUBLISHED=json.dumps(lost))) == 64
    finally:
        site.services.assignments[3] = real
    assert "cannot be read with the credentials at hand" in (site.state / "last-words").read_text()
    written = (tmp_path / "out" / "personal.json").read_bytes()
    assert written == (folders["staged", 2, "merged"] / "personal.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "PILOT_OUT is not set"),
        ({"OUT": "x", "PUBLISHED": '{"a/b": 1}'}, "must map repositories to commits"),
        ({"OUT": "x", "POINT": "best"}, "'best'"),
        ({"OUT": "x", "MERGE_LORA": "yes"}, "yes"),
    ],
)
def test_an_entry_that_is_told_nonsense_says_which_variable(tuned, changes, words):
    site = tuned["staged"].site
    assert run(site.environ(ROUND="2", **changes)) == 78
    assert words in (site.state / "last-words").read_text()


def test_predicting_from_the_state_is_asking_the_exported_model(tuned, folders):
    there = tuned["staged"]
    image = there.images(1)[0]
    result = find_result(there.site.state, there.site.services.assignments[3].private_state.update)
    model, processor = pilot_model.load(folders["staged", 2, "local"])
    for question in QUESTIONS:
        assert predict(DIGITS_TINY, result.folder, image, question) == pilot_model.answer(
            model, processor, question, image
        )


# -- outside the project

ELSEWHERE = """
import json, sys
from importlib.util import find_spec
folded, beside, image, *questions = sys.argv[1:]
unwanted = [name for name in ("pilot_registry", "pilot_aggregator", "pilot_trainer", "pilot_cli", "fastapi", "httpx")
            if find_spec(name)]
import pilot_model
sys.modules["peft"] = None
model, processor = pilot_model.load(folded)
without_peft = [pilot_model.answer(model, processor, question, image) for question in questions]
del sys.modules["peft"]
model, processor = pilot_model.load(beside)
with_peft = [pilot_model.answer(model, processor, question, image) for question in questions]
print(json.dumps({"unwanted": unwanted, "without_peft": without_peft, "with_peft": with_peft}))
"""


def test_an_environment_without_the_services_gives_the_trainers_answers(tuned, folders, tmp_path):
    python = python_of("model")
    there = tuned["staged"]
    folded, beside = there.exported(2, tmp_path / "folded", fold=True), folders["staged", 2, "merged"]
    image = there.images(1)[0]
    base = there.trainers_model(2, "merged")
    chat = Chat(base.processor, base.image_token, base.num_image_tokens)
    prompts = [chat.prompt([(question, "")], True) for question in QUESTIONS]
    expected = answers(base, Encoder(base), prompts, [image] * len(prompts), 64, "fp32")
    # -I: nothing of this checkout, its environment variables or its folder is seen.
    arguments = [python, "-I", "-c", ELSEWHERE, folded, beside, image, *QUESTIONS]
    ran = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said == {"unwanted": [], "without_peft": expected, "with_peft": expected}


PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
BLOCK = re.compile(r"(<!-- not run -->\n\n)?```python\n(.*?)```", re.DOTALL)


def test_the_code_on_the_serving_page_runs(tuned, folders, tmp_path, monkeypatch, capsys):
    shutil.copytree(folders["staged", 2, "merged"], tmp_path / "vqa-1-model")
    with Image.open(tuned["staged"].images(1)[0]) as image:
        image.save(tmp_path / "scene.png")
        image.resize((60, 20)).save(tmp_path / "wide.png")
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(PAGE.read_text())
    assert [bool(mark) for mark, _ in blocks] == [False, False, True]
    for _, code in blocks[:2]:
        exec(compile(code, str(PAGE), "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert first
    assert len(ast.literal_eval(second)) == 2
    compile(blocks[2][1], str(PAGE), "exec")
