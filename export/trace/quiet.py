"""Silence for what torch and transformers tell everyone and our callers need not hear."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from transformers.utils import logging as transformers_logging


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Drop transformers' table of missing and surplus keys, which we say in one line, and its bar, which is no news."""
    logger = logging.getLogger("transformers.modeling_utils")

    def keep(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    bars = transformers_logging.is_progress_bar_enabled()
    logger.addFilter(keep)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.removeFilter(keep)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep torch.onnx's progress off stdout, where a command's own output goes, and its hints out of the log."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
