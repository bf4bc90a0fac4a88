"""How long an attempt took for what."""

from pilot_proto.run import Progress
from pilot_trainer.stages import MOST, Stages


class Watch:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def stages_of(*told):
    """Stages after these (stage, seconds spent in it) were told."""
    watch, heard = Watch(), []
    made = Stages(heard.append, watch)
    for stage, seconds in told:
        made.report(Progress(stage=stage))
        watch.now += seconds
    return [(each.stage, each.seconds) for each in made.spent()], [progress.stage for progress in heard]


def test_a_stage_lasts_until_the_next_begins_and_the_last_until_now():
    spent, _ = stages_of(("loading", 2.0), ("fetching", 3.0), ("training", 40.0))
    assert spent == [("loading", 2.0), ("fetching", 3.0), ("training", 40.0)]


def test_steps_of_one_stage_are_one_stage_and_a_stage_may_come_again():
    spent, heard = stages_of(("evaluating", 1.0), ("training", 2.0), ("training", 3.0), ("evaluating", 4.0))
    assert spent == [("evaluating", 1.0), ("training", 5.0), ("evaluating", 4.0)]
    assert heard == ["evaluating", "training", "training", "evaluating"]


def test_before_anything_was_told_nothing_was_spent():
    assert stages_of() == ([], [])


def test_progress_without_a_stage_changes_none():
    assert stages_of(("training", 2.0), ("", 1.0))[0] == [("training", 3.0)]


def test_no_more_is_told_than_the_aggregator_takes():
    spent, _ = stages_of(*((("training", "evaluating")[i % 2], 1.0) for i in range(MOST + 20)))
    assert len(spent) == MOST
