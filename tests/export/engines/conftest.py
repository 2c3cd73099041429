"""A TensorRT that builds nothing: what it is told is kept, and its engines are a few bytes."""

import enum
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from strizh.export import export_model
from strizh.export.engines.builder import Builder
from strizh.runtime.bundle import Bundle
from strizh.runtime.cuda import Gpu
from strizh.runtime.tensorrt import CLASSIC, RTX

TINY = Path(__file__).parents[2] / "data/rope-e5-tiny-ru"


class FakeTensorRT(ModuleType):
    """The part of TensorRT's Python module that a build needs. `told` is what the last build was told."""

    PLAN = b"vtrt\0 an engine"

    def __init__(self, version: str, refuses: str = "") -> None:
        super().__init__("tensorrt")
        self.__version__ = version
        self.told: dict[str, Any] = {}
        told = self.told

        class ILogger:
            INTERNAL_ERROR, ERROR, WARNING = range(3)

        class Network:
            num_inputs = 2

            def get_input(self, index: int) -> Any:
                return onnx.ValueInfoProto(name=("input_ids", "attention_mask")[index])

        class Parser:
            def __init__(self, network: Network, logger: Any) -> None:
                self.logger = logger

            def parse_from_file(self, path: str) -> bool:
                told["graph"] = Path(path).name
                if refuses:
                    self.logger.log(ILogger.WARNING, "not of interest")
                    self.logger.log(ILogger.ERROR, refuses)
                return not refuses

        class Profile:
            def set_shape(self, name: str, *shapes: tuple[int, int]) -> None:
                told.setdefault("shapes", {})[name] = shapes

        class Cache:
            def __init__(self, before: bytes) -> None:
                self.before = before

            def serialize(self) -> bytes:
                return self.before + b"timed "

        class Config:
            num_compute_capabilities = 0

            def add_optimization_profile(self, profile: Profile) -> None: ...

            def set_flag(self, flag: Any) -> None:
                told.setdefault("flags", []).append(flag.name)

            def create_timing_cache(self, before: bytes) -> Cache:
                return Cache(before)

            def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> None:
                self.cache = cache

            def get_timing_cache(self) -> Cache:
                return self.cache

            def set_compute_capability(self, kind: Any, index: int) -> None:
                told.setdefault("for", []).append(kind.name)

        class Builder:
            def __init__(self, logger: Any) -> None: ...

            def create_network(self, flags: int) -> Network:
                told["network"] = flags
                return Network()

            create_builder_config = staticmethod(Config)
            create_optimization_profile = staticmethod(Profile)

            def build_serialized_network(self, network: Network, config: Config) -> Any:
                return np.frombuffer(FakeTensorRT.PLAN, np.uint8)

        self.ILogger, self.OnnxParser, self.Builder = ILogger, Parser, Builder
        self.NetworkDefinitionCreationFlag = enum.IntEnum("Flag", {"STRONGLY_TYPED": 1})
        self.BuilderFlag = enum.Enum("BuilderFlag", ["STRIP_PLAN"])
        self.ComputeCapability = enum.Enum("ComputeCapability", ["NONE", "SM80", "SM86", "SM89", "SM120"])


@pytest.fixture
def fake() -> type[FakeTensorRT]:
    """To be made with a version, and what its parser has to say against every graph."""
    return FakeTensorRT


@pytest.fixture
def ahead() -> Builder:
    """TensorRT for RTX, which builds without a GPU for two kinds of them."""
    return Builder(FakeTensorRT("1.7.1.116"), RTX, ("8.0", "8.9"), None)


@pytest.fixture
def here() -> Builder:
    """TensorRT on the GPU at hand."""
    return Builder(FakeTensorRT("10.16.0"), CLASSIC, ("9.0",), Gpu("NVIDIA H200", "9.0", 13000))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a float32 and a TensorRT variant."""
    folder = tmp_path_factory.mktemp("engines") / "bundle"
    export_model(TINY, folder, variants=["portable-fp32", "tensorrt-fp16"], verify=False)
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it to write into, whose files are all vouched for in the end."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in exported.rglob("*"):
        target = folder / path.relative_to(exported)
        target.mkdir(parents=True, exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())
    yield folder
    manifest = Bundle(folder).manifest
    Bundle(folder).verify(manifest.files)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == set(manifest.files) | {"strizh.json"}
