"""`pilot doctor --model`: whether a folder holds a base model that Pilot can train. Reads headers, never weights."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pilot_proto.canonical import file_digest
from pilot_proto.llava import CONVERSION, PROJECTOR, Llava, NotLlava, check_type, module_of, read_llava
from pilot_proto.model_folder import StoredWeights, folder_digest, model_files, read_config, stored_weights
from pilot_proto.targets import BadTarget, matched
from pilot_proto.tensors import DTYPE_BYTES, TensorSpec
from pilot_reports.numbers import size
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from pilot_cli.findings import Finding
from pilot_cli.output import complaints

CONVERT = (
    f"python {CONVERSION} --text_model_id lmsys/vicuna-7b-v1.5 --vision_model_id openai/clip-vit-large-patch14-336 "
    "--old_state_dict_id liuhaotian/llava-v1.5-7b --output_hub_path OUT; or take llava-hf/llava-1.5-7b-hf"
)
# One of each group has to be there.
_BESIDE = {
    "tokenizer": (("tokenizer.json", "tokenizer.model"), ("tokenizer_config.json",)),
    "processor": (("processor_config.json", "preprocessor_config.json"),),
}
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


def model_findings(folder: Path, target: str) -> Iterator[Finding]:
    """Everything that can be said without torch, in the order in which one would put it right."""
    try:
        config = read_config(folder)
        check_type(config)
    except NotLlava as error:
        original = "original LLaVA layout" in str(error)
        fix = CONVERT if original else "give the folder of a LLaVA model in the transformers layout"
        yield Finding("layout", False, f"{folder}: {error}", fix)
        return
    yield Finding("layout", True, "LLaVA in the transformers layout")
    weights = stored_weights(folder)
    yield from _files(folder, weights)
    yield from _beside(folder)
    yield from _shapes(config, weights, target)
    yield _licence(folder)
    yield Finding("digest", True, _digest(folder))


def _files(folder: Path, weights: StoredWeights) -> Iterator[Finding]:
    if weights.absent:
        pickled = sorted(folder.glob("pytorch_model*.bin"))
        detail = f"{len(weights.absent)} of {len(weights.files)} are absent: {', '.join(weights.absent)}"
        fix = "download them again: each is named by the index, or is the only one that transformers looks for"
        if pickled:
            fix = f"{pickled[0].name} is a pickle, which is not loaded: save the model again by save_pretrained"
        yield Finding("weight files", False, detail, fix)
    elif weights.damaged:
        yield Finding("weight files", False, "; ".join(weights.damaged), "download them again, and compare their sizes")
    else:
        yield Finding("weight files", True, f"{len(weights.files)}, {size(weights.num_bytes)}")
    if weights.tensors:
        yield Finding("weights", True, _by_dtype(weights.tensors))


def _by_dtype(tensors: Mapping[str, TensorSpec]) -> str:
    numbers: Counter[str] = Counter()
    for spec in tensors.values():
        numbers[spec.dtype] += math.prod(spec.shape)
    parts = [f"{count:,} in {dtype} ({size(count * DTYPE_BYTES[dtype])})" for dtype, count in numbers.most_common()]
    return f"{sum(numbers.values()):,} numbers: {', '.join(parts)}"


def _beside(folder: Path) -> Iterator[Finding]:
    for what, groups in _BESIDE.items():
        lacking = [" or ".join(group) for group in groups if not any((folder / name).is_file() for name in group)]
        fix = "copy it from where the model comes from; without it no text or image can be encoded"
        yield Finding(what, not lacking, f"absent: {', '.join(lacking)}" if lacking else "there", fix)
    found = [name for name in _TEMPLATES if (folder / name).is_file()]
    found += [name for name in ("tokenizer_config.json", "processor_config.json") if _has_template(folder / name)]
    fix = "save one as chat_template.jinja; without it nobody knows how turns are written"
    yield Finding("chat template", bool(found), f"in {found[0]}" if found else "absent", fix)


def _has_template(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False


def _shapes(config: Any, weights: StoredWeights, target: str) -> Iterator[Finding]:
    modules = {module_of(name): spec for name, spec in weights.tensors.items()}
    try:
        llava = read_llava(config)
    except NotLlava as error:
        yield Finding("shapes", False, str(error), "'pilot estimate' cannot count it; training may work all the same")
        return
    vision = llava.vision_config
    tokens = f"{llava.num_image_tokens} per image ({vision.image_size} px in patches of {vision.patch_size})"
    yield Finding("image tokens", True, f"{tokens}, {llava.visual_width} wide")
    if modules:
        yield from _complete(llava, modules)
        yield _projector(llava, modules)
        yield _lora(modules, target)


def _complete(llava: Llava, modules: Mapping[str, TensorSpec]) -> Iterator[Finding]:
    linears = llava.language_linears()
    lacking = [name for name in linears if f"{name}.weight" not in modules]
    if lacking:
        detail = f"{len(lacking)} of {len(linears)} linear layers of the language model are absent, first {lacking[0]}"
        yield Finding("language model", False, detail, "the weights are not whole, or not of this config.json")


def _projector(llava: Llava, modules: Mapping[str, TensorSpec]) -> Finding:
    expected = {f"{PROJECTOR}.{name}": shape for name, shape in llava.connector().items()}
    wrong = [name for name, shape in expected.items() if name not in modules or modules[name].shape != shape]
    if not wrong:
        numbers = sum(math.prod(shape) for shape in expected.values())
        return Finding("projector", True, f"{llava.visual_width} - {llava.width} - {llava.width}, {numbers:,} numbers")
    found = modules.get(wrong[0])
    stored = "absent" if found is None else f"of shape {list(found.shape)}"
    return Finding(
        "projector",
        False,
        f"{wrong[0]} is {stored}, config.json says {list(expected[wrong[0]])}",
        "config.json and weights are of different models; Pilot needs the projector of two linear layers",
    )


def _lora(modules: Mapping[str, TensorSpec], target: str) -> Finding:
    linears = [name.removesuffix(".weight") for name, spec in modules.items() if _is_linear(name, spec)]
    try:
        found = matched(target, linears)
    except BadTarget as error:
        return Finding("LoRA targets", False, str(error), "set training.lora.target_modules to a pattern that matches")
    return Finding("LoRA targets", True, f"{target} adapts {len(found)} layers, first {found[0]}")


def _is_linear(name: str, spec: TensorSpec) -> bool:
    return name.endswith(".weight") and len(spec.shape) == 2 and "embed" not in name


def _licence(folder: Path) -> Finding:
    named = licence_of(folder / "README.md")
    return Finding("licence", True, named or "not stated in README.md; look where the model comes from")


def licence_of(card: Path) -> str:
    """What a model card's front matter says; empty when it says nothing."""
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    if not text.startswith("---\n"):
        return ""
    try:
        front = yaml.safe_load(text[4:].split("\n---", 1)[0])
    except yaml.YAMLError:
        return ""
    return str(front.get("license") or "") if isinstance(front, dict) else ""


def _digest(folder: Path) -> str:
    columns = (TextColumn("reading the model"), BarColumn(), DownloadColumn())
    total = sum(file.stat().st_size for file in model_files(folder))
    with Progress(*columns, console=complaints, transient=True, disable=not complaints.is_terminal) as progress:
        bar = progress.add_task("", total=total)
        return folder_digest(folder, _told(lambda count: progress.advance(bar, count)))


def _told(advance: Callable[[int], None]) -> Callable[[Path], str]:
    def digest(file: Path) -> str:
        found = file_digest(file)
        advance(file.stat().st_size)
        return found

    return digest
