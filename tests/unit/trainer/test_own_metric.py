"""A metric of the client's own that is not there: known before training, and told as bad data."""

import pytest
from pilot_data.errors import MetricError
from pilot_proto.dataset import DatasetSpec, Split, Splits
from pilot_trainer.errors import BadData
from pilot_trainer.evaluation import Exam
from pilot_trainer.program import as_trainer_error


def test_an_exam_with_a_metric_that_cannot_be_loaded_is_refused_as_bad_data(tmp_path):
    spec = DatasetSpec(task="vqa", metric="not_installed:near", splits=Splits(train=Split(file="train.json")))
    with pytest.raises(MetricError, match="'not_installed' cannot be imported") as raised:
        Exam(None, None, tmp_path, spec, None)
    assert isinstance(as_trainer_error(raised.value), BadData)
