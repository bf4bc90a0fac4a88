"""What a run was and did, as tables: settings, participation, losses, routers, traffic, refusals. Pure."""

from collections.abc import Callable, Sequence

from pilot_proto.local_update import LocalUpdate
from pilot_proto.plan import LedgerEntry

from pilot_reports.history import History
from pilot_reports.numbers import size
from pilot_reports.specs import beyond_preset, written
from pilot_reports.tables import MISSING, Cell, Row, Table, row

NOTHING = Cell(MISSING, tone="quiet")


def settings(history: History) -> Table:
    """Where a run left its preset."""
    rows = [row(Cell(d.path, code=True), written(d.first), written(d.second)) for d in beyond_preset(history.view.spec)]
    caption = f"Where {history.name} differs from the preset of its method, {history.method}"
    return Table(caption, ("field", "preset", "this run"), tuple(rows), text_columns=3)


def participation(history: History) -> Table:
    """Clients by rounds: who counted, and why not."""
    ledgers = {r.round: {e.client: e for e in r.ledger.entries} for r in history.trained if r.ledger}
    old = history.view.spec.start_from is not None
    rows = [
        row(c.client, c.task, *(_part(entries.get(c.client), old or n > 1) for n, entries in ledgers.items()))
        for c in history.report.clients
    ]
    counted = [f"{sum(e.counted for e in entries.values())} of {len(entries)}" for entries in ledgers.values()]
    columns = ("client", "task", *(f"round {number}" for number in ledgers))
    return Table(
        caption=f"Who took part in {history.name}, by round",
        columns=columns,
        rows=(*rows, row("counted", "", *counted, strong=True)),
        text_columns=len(columns),
        note="In brackets: the training samples behind the update. Flagged updates are marked with their flags.",
    )


def losses(history: History) -> Table | None:
    """Clients by rounds: how the loss went from the first to the last step."""
    made = _by_round(history, [u for u in history.updates or () if "total" in u.losses], _loss)
    if made is None:
        return None
    note = "Total training loss at the first and the last step, and its mean in brackets. Stages have different parts."
    return Table(f"Losses of {history.name}", *made, note=note)


def router(history: History) -> Table | None:
    """Stage 2: how much each client's router gave to each task's adapter, in its last round."""
    told = [update for update in history.updates or () if update.router]
    if not told:
        return None
    newest = max(update.round for update in told)
    shown = sorted((update for update in told if update.round == newest), key=lambda update: update.client)
    tasks = sorted({task for update in shown for task in update.router})
    rows = [row(u.client, u.task, *(_share(u.router.get(task)) for task in tasks)) for u in shown]
    return Table(
        caption=f"What the routers of {history.name} chose in round {newest}",
        columns=("client", "task", *tasks),
        rows=tuple(rows),
        text_columns=2,
        note="Each column is a task's adapter; the mean probability over tokens and samples of that round's training.",
    )


def training(history: History) -> Table | None:
    """What each client computed, and how, in the last round in which it trained."""
    newest = {u.client: u for u in history.updates or () if u.program not in ("prepare", "evaluate")}
    if not newest:
        return None
    columns = ("client", "round", "program", "machine", "samples", "dropped", "truncated", "steps", "micro-batch")
    return Table(
        caption=f"What the clients of {history.name} trained last",
        columns=columns,
        rows=tuple(_trained(newest[name]) for name in sorted(newest)),
        text_columns=4,
        note="Dropped: records that could not be read. Truncated: samples cut at max_length.",
    )


def traffic(history: History) -> Table | None:
    """Clients by rounds: bytes sent and fetched."""
    told = [update for update in history.updates or () if update.program != "prepare"]
    made = _by_round(history, told, lambda update: Cell(_bytes([update])))
    if made is None:
        return None
    columns, rows, words = made
    numbers = sorted({update.round for update in told})
    sums = [_bytes([update for update in told if update.round == number]) for number in numbers]
    total = row("all", "", *sums, strong=True)
    note = (
        f"Sent / fetched: the files of the sealed update, and those that its assignment names; {_bytes(told)} in all. "
        "Repeated attempts come on top."
    )
    return Table(f"Bytes moved in {history.name}", columns, (*rows, total), words, note)


def rejections(history: History) -> Table | None:
    """Every upload that admission refused."""
    if not history.rejections:
        return None
    rows = [row(str(r.round), r.client, Cell(r.code, code=True), r.message) for r in history.rejections]
    caption = f"Uploads that the registry refused in {history.name}"
    return Table(caption, ("round", "client", "code", "why"), tuple(rows), text_columns=4)


def _by_round(
    history: History, told: Sequence[LocalUpdate], cell: Callable[[LocalUpdate], Cell]
) -> tuple[tuple[str, ...], tuple[Row, ...], int] | None:
    """Columns, rows and the number of word columns of a table of clients by rounds."""
    if not told:
        return None
    numbers = sorted({update.round for update in told})
    places = {(update.client, update.round): cell(update) for update in told}
    rows = [
        row(c.client, c.task, *(places.get((c.client, number), NOTHING) for number in numbers))
        for c in history.report.clients
    ]
    return ("client", "task", *(f"round {number}" for number in numbers)), tuple(rows), 2


def _part(entry: LedgerEntry | None, tells_started: bool) -> Cell:
    if entry is None:
        return Cell("not asked", tone="quiet")
    marks = f", flagged: {', '.join(entry.flags)}" if entry.flags else ""
    if not entry.counted:
        return Cell(f"left out: {entry.reason}{marks}", tone="bad")
    samples = "" if entry.num_examples is None else f" ({entry.num_examples})"
    # In a run's first round everybody begins; later, and after start_from, it says who is new.
    began = f", began anew: {', '.join(entry.started)}" if entry.started and tells_started else ""
    return Cell(f"counted{samples}{marks}{began}")


def _trained(update: LocalUpdate) -> Row:
    how = update.execution
    machine = f"{how.device}, {how.precision}" if how else MISSING
    if how and how.base_quantization != "none":
        machine += f", base in {how.base_quantization}"
    counts = [update.num_examples, update.dropped, update.truncated, update.steps]
    batch = str(how.micro_batch_size) if how and how.micro_batch_size else MISSING
    return row(update.client, str(update.round), update.program, machine, *(str(count) for count in counts), batch)


def _loss(update: LocalUpdate) -> Cell:
    total = update.losses["total"]
    return Cell(f"{total.first:.3f} \N{RIGHTWARDS ARROW} {total.last:.3f} ({total.mean:.3f})")


def _share(value: float | None) -> Cell:
    return NOTHING if value is None else Cell(f"{value:.2f}", shade=min(1.0, max(0.0, value)))


def _bytes(updates: Sequence[LocalUpdate]) -> str:
    sent, fetched = sum(u.uploaded_bytes for u in updates), sum(u.downloaded_bytes for u in updates)
    return f"{size(sent)} / {size(fetched)}"
