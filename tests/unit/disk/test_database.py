"""SQLite and Postgres keep the same promises, and one that cannot be used says why in one sentence."""

import threading

import databases
import pytest
from databases import every_database  # noqa: F401
from pilot_disk.columns import Words
from pilot_disk.database import check, connect, upgrade, writer
from pilot_disk.faults import DatabaseUnusable
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, text, update
from sqlalchemy.exc import OperationalError

metadata = MetaData()
notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("words", Words, nullable=False),
    sqlite_autoincrement=True,
)


@pytest.fixture
def engine(tmp_path):
    made = connect(databases.empty_for(tmp_path, "notes.sqlite"), busy_timeout_ms=200)
    with writer(made).begin() as sql:
        metadata.create_all(sql)
    yield made
    made.dispose()


def write(engine, *words):
    with writer(engine).begin() as sql:
        for word in words:
            sql.execute(insert(notes).values(words=word))


# -- readers and writers


def test_a_reader_has_one_view_and_holds_no_writer_up(engine):
    write(engine, "before")
    with engine.connect() as reader:
        assert reader.scalar(select(func.count()).select_from(notes)) == 1
        write(engine, "meanwhile")
        assert reader.scalar(select(func.count()).select_from(notes)) == 1
    with engine.connect() as reader:
        assert reader.scalar(select(func.count()).select_from(notes)) == 2


def test_what_a_writer_has_read_stays_true_until_it_has_written(engine):
    """Each takes the number it has read and writes the next: with one gap in the line two would write the same."""
    write(engine, "0")
    begin = threading.Barrier(4)

    def count_on():
        begin.wait()
        for _ in range(10):
            with writer(patient).begin() as sql:
                last = int(sql.scalar(select(notes.c.words)))
                sql.execute(update(notes).values(words=str(last + 1)))

    patient = connect(engine.url.render_as_string(hide_password=False), busy_timeout_ms=20_000)
    threads = [threading.Thread(target=count_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    patient.dispose()
    with engine.connect() as reader:
        assert reader.scalar(select(notes.c.words)) == "40"


def test_a_writer_waits_its_turn_for_so_long_and_no_longer(engine):
    with writer(engine).begin(), pytest.raises(OperationalError), writer(engine).begin():
        raise AssertionError("two writers at once")
    write(engine, "afterwards")


def test_what_a_writer_gave_up_leaves_no_trace_and_the_line_moves_on(engine):
    def give_up():
        with writer(engine).begin() as sql:
            sql.execute(insert(notes).values(words="half"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up()
    write(engine, "whole")
    with engine.connect() as reader:
        assert reader.scalars(select(notes.c.words)).all() == ["whole"]


# -- words


def test_words_are_in_the_order_of_their_code_points(engine):
    """The server of these tests was set up for English, which puts a-c behind ab and B behind a."""
    words = ["B", "a", "a-c", "ab", "vqa-1", "vqa-10", "vqa-2", "vqa1", "\xe4"]
    write(engine, *reversed(words))
    with engine.connect() as reader:
        assert reader.scalars(select(notes.c.words).order_by(notes.c.words)).all() == sorted(words)
        assert reader.scalars(select(notes.c.words).where(notes.c.words < "a").order_by(notes.c.words)).all() == ["B"]


def test_a_nul_is_shown_as_a_sign_for_it(engine):
    write(engine, "a\0b")
    with engine.connect() as reader:
        assert reader.scalar(select(notes.c.words)) == "a\N{SYMBOL FOR NULL}b"


# -- schemas


@pytest.fixture
def migrations(tmp_path):
    """A folder of migrations with one that makes `first`."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(
        "from alembic import context\n"
        "context.configure(connection=context.config.attributes['connection'])\n"
        "context.run_migrations()\n"
    )
    add_migration(folder, "0001", None, "op.create_table('first', sa.Column('id', sa.Integer(), primary_key=True))")
    return folder


def add_migration(folder, revision, before, what):
    (folder / "versions" / f"{revision}_it.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision, down_revision = {revision!r}, {before!r}\nbranch_labels = depends_on = None\n"
        f"def upgrade():\n    {what}\n"
    )


def test_missing_migrations_are_applied_and_a_second_start_finds_nothing_to_do(engine, migrations):
    upgrade(engine, migrations, "first")
    with writer(engine).begin() as sql:
        sql.execute(text("INSERT INTO first (id) VALUES (7)"))
    add_migration(migrations, "0002", "0001", "op.create_table('second', sa.Column('id', sa.Integer()))")
    for _ in range(2):
        upgrade(engine, migrations, "first")
    with engine.connect() as reader:
        assert reader.scalar(text("SELECT id FROM first")) == 7
        assert reader.scalar(text("SELECT count(*) FROM second")) == 0


def test_a_migration_that_fails_changes_nothing(engine, migrations):
    upgrade(engine, migrations, "first")
    steps = ("CREATE TABLE second (id int)", "INSERT INTO nowhere (id) VALUES (1)")
    add_migration(migrations, "0002", "0001", "; ".join(f"op.execute('{step}')" for step in steps))
    with pytest.raises(DatabaseUnusable, match="nowhere"):
        upgrade(engine, migrations, "first")
    with engine.connect() as reader:
        assert reader.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
    (migrations / "versions" / "0002_it.py").unlink()
    upgrade(engine, migrations, "first")


def test_the_database_of_another_service_is_refused(engine, migrations):
    upgrade(engine, migrations, "first")
    with pytest.raises(DatabaseUnusable, match="tables of something else; give each service a database of its own"):
        upgrade(engine, migrations, "runs")


def test_a_database_of_a_newer_version_is_refused_with_both_versions(engine, migrations):
    add_migration(migrations, "0002", "0001", "pass")
    upgrade(engine, migrations, "first")
    (migrations / "versions" / "0002_it.py").unlink()
    with pytest.raises(DatabaseUnusable, match=r"newer version \(schema 0002, not 0001\); run that version"):
        upgrade(engine, migrations, "first")


# -- addresses that cannot be


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://pilot@db/x", "'mysql' is no database that Pilot knows"),
        ("pilot", "cannot be read; write postgresql://USER@HOST/NAME"),
        ("", "cannot be read; write postgresql://USER@HOST/NAME"),
    ],
)
def test_an_address_that_is_none(url, said):
    with pytest.raises(DatabaseUnusable, match=said):
        connect(url)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(DatabaseUnusable, match=r"no-folder/x\.sqlite cannot be used: unable to open database file"):
        check(connect(f"sqlite:///{tmp_path}/no-folder/x.sqlite"))
