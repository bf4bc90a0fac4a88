"""The card of an exported model. Pure."""

from pilot_model.document import Personal

_ARCHITECTURE = {
    "plain": "one adapter, as LLaVA has it",
    "stage-1": "a task adapter and the client's own adapter",
    "stage-2": "the mixture of task adapters, with the client's router, cross-task adapters and own adapter",
}
_POINT = {
    "merged": "what round {round} published, with the client's private parts of that round",
    "local": "the client's own model after its update of round {round}, before the merge",
}

_STOCK = "It is a whole LLaVA in the transformers layout, so stock transformers loads it too."
_OURS = "Stock transformers or peft alone load a part of it at most: the connector needs `pilot_model`."


def is_stock(personal: Personal) -> bool:
    """Whether the connector is a single adapter, as LLaVA's own projector is."""
    return not personal.client_adapter and personal.program != "stage-2"


def card(personal: Personal, licence: str | None) -> str:
    """Markdown: what it is, how to load it, what in it is private, whose licence binds."""
    return "\n".join(
        [*_front_matter(personal, licence), *_what(personal), *_use(personal), *_privacy(personal, licence)]
    )


def _front_matter(personal: Personal, licence: str | None) -> list[str]:
    named = [f"license: {licence}"] if licence else []
    return ["---", f"base_model: {personal.base.name}", *named, "library_name: pilot-model", "---", ""]


def _what(personal: Personal) -> list[str]:
    point = _POINT[personal.point].format(round=personal.round)
    connector = _ARCHITECTURE[personal.program]
    order = f" Router rows: {', '.join(personal.router_tasks)}." if personal.router_tasks else ""
    text = "a LoRA beside the base" if personal.text == "adapter" else "a LoRA folded into the weights of this folder"
    return [
        f"# The personal model of {personal.client}",
        "",
        f"Base model {personal.base.name}, tuned for the task {personal.task} in the run {personal.run} of Pilot "
        "(arXiv 2501.13985).",
        "",
        f"- This is {point}.",
        f"- Connector: {connector}.{order}",
        f"- Language model: {text} (r = {personal.lora.r}).",
        f"- Base digest: {personal.base.digest}",
        "",
    ]


def _use(personal: Personal) -> list[str]:
    base = ', base="FOLDER OF THE BASE MODEL"' if personal.text == "adapter" else ""
    return [
        "## Use",
        "",
        "```python",
        "import pilot_model",
        "",
        f'model, processor = pilot_model.load("THIS FOLDER"{base})',
        'print(pilot_model.answer(model, processor, "a question", "image.png"))',
        "```",
        "",
        _STOCK if personal.text == "folded" and is_stock(personal) else _OURS,
        "",
    ]


def _privacy(personal: Personal, licence: str | None) -> list[str]:
    bound = f"the base model's licence, {licence}" if licence else "the base model's licence: see its own card"
    return [
        "## What is private in it",
        "",
        " ".join(_private(personal)),
        "",
        "Adapters can give away what they were trained on: treat this folder as the client's data.",
        "",
        "## Licence",
        "",
        f"The weights are derived from {personal.base.name}; they are bound by {bound}.",
        "",
    ]


def _private(personal: Personal) -> list[str]:
    kept = ["the client adapter psi^s"] if personal.client_adapter else []
    kept += ["the router and the cross-task adapters"] if personal.router_tasks else []
    said = [f"Never left the client: {' and '.join(kept)}."] if kept else []
    if personal.point == "local":
        return [*said, "The LoRA and the task adapter are the client's raw update, which only it and the server saw."]
    return [*said, "The LoRA and the task adapter are what the round published for this client."]
