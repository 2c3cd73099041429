"""A graph run on calibration texts, from a file that is gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from strizh.export.graph import FLOAT
from strizh.export.quantize.calibration import Ids
from strizh.export.write import ExternalData
from strizh.runtime.cores import usable_cores

_A_RUN = 12  # tokens whose products take as long as making every weight float, which a run begins with


class Run(Protocol):
    """A padded graph's outputs [texts, ...] by name; `switches` are further inputs. Shorter texts are padded on the right."""

    def __call__(self, texts: Sequence[Ids], **switches: Any) -> dict[str, NDArray[Any]]: ...


def of_one_length(texts: Sequence[Ids]) -> list[list[int]]:
    """The numbers of the texts, those of one length together: a batch whose weights are read once, and in which there is
    no padding whose values would be seen.
    """
    found: dict[int, list[int]] = {}
    for number, text in enumerate(texts):
        found.setdefault(len(text), []).append(number)
    return list(found.values())


def of_like_length(texts: Sequence[Ids]) -> list[list[int]]:
    """The numbers of the texts in batches, longest first, whose padding costs no more than another run. For sentence vectors,
    which padding does not change; values inside the graph have rows for it.
    """
    batches: list[list[int]] = []
    for number in sorted(range(len(texts)), key=lambda number: -len(texts[number])):
        if batches:
            longest = len(texts[batches[-1][0]])
            if sum(longest - len(texts[other]) for other in (*batches[-1], number)) <= _A_RUN:
                batches[-1].append(number)
                continue
        batches.append([number])
    return batches


@contextmanager
def opened(
    model: onnx.ModelProto, folder: Path, outputs: Sequence[str] = ("sentence_embedding",), kind: int = FLOAT
) -> Iterator[Run]:
    """Run a padded graph. Values inside it, of element type `kind`, can be asked for as outputs.

    The model's weights move to the file.
    """
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, kind, None) for name in outputs if name not in known
    )
    place = Path(tempfile.mkdtemp(prefix="calibration-", dir=folder))
    try:
        path = place / "model.onnx"
        ExternalData(path.with_name("weights")).move(model)
        onnx.save(model, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def run(texts: Sequence[Ids], **switches: Any) -> dict[str, NDArray[Any]]:
            lengths = np.array([len(text) for text in texts])
            mask = np.arange(lengths.max()) < lengths[:, None]
            ids = np.zeros(mask.shape, np.int64)
            ids[mask] = np.concatenate(texts)
            feed = {"input_ids": ids, "attention_mask": mask.astype(np.int64), **switches}
            return dict(zip(outputs, session.run(list(outputs), feed), strict=True))

        yield run
    finally:
        shutil.rmtree(place)
