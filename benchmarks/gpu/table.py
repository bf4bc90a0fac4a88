"""Measurements as Markdown. Pure."""

from typing import Any


def markdown(found: dict[str, Any]) -> str:
    """The table of one measurement, with its date, machine and command."""
    setting = found["setting"]
    sample = setting["sample"]
    lines = [
        f"Shape {setting['shape']}, {setting['precision']}, {setting['batch']} samples per step, "
        f"{sample['text_tokens']} text tokens of which {sample['answer_tokens']} are answers; {found['machine']} "
        f"({setting['device']}, {found['threads']} threads), torch {found['torch']}, {found['date']}. "
        f"Medians of {setting['steps']} steps.",
        "",
        "| case | micro-batch | step | tokens/s | share of peak | memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    return "\n".join([*lines, *(_row(row) for row in found["rows"])]) + "\n"


def _row(row: dict[str, Any]) -> str:
    share = "-" if row["share_of_peak"] is None else f"{100 * row['share_of_peak']:.1f} %"
    if row["peak_bytes"] is not None:
        memory = f"{row['peak_bytes'] / 1e9:.1f} GB peak"
    else:
        memory = f"{row['kept_bytes'] / 1e6:.2f} MB kept"
    cells = [row["name"], row["micro_batch_found"], _seconds(row["step_seconds"]), f"{row['tokens_per_second']:,.0f}"]
    return "| " + " | ".join(str(cell) for cell in [*cells, share, memory]) + " |"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
