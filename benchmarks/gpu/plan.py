"""The steps of the GPU benchmark, the most wanted first: what the time does not reach is missed the least."""

from dataclasses import dataclass

MODELS = ("base", "e5-small", "large")
REHEARSED = ("tiny",)


@dataclass(frozen=True, slots=True)
class Step:
    """`part/what`, the seconds that it may take, and what it needs: strizh's CUDA operators, or a package."""

    name: str
    seconds: int
    operators: bool = False
    needs: str = ""


def plan(*, rehearse: bool) -> list[Step]:
    """All of them, in order. TensorRT builds engines for a minute each, torch.compile takes as long."""
    models = REHEARSED if rehearse else MODELS
    first, *others = models
    steps = [
        Step("machine", 60),
        Step("parity/kernels", 120, operators=True),
        Step("parity/onnxruntime", 120, operators=True, needs="onnxruntime"),
    ]
    for model in models:
        steps.append(Step(f"{model}/kernels", 90, operators=True))
        if not rehearse:  # a CPU's provider lacks the attention of these graphs
            steps.append(Step(f"{model}/onnxruntime", 60, needs="onnxruntime"))
    steps += [Step(f"{first}/tensorrt", 200, needs="tensorrt")]
    steps += [Step(f"{model}/peers", 120) for model in models]
    return steps + [Step(f"{model}/tensorrt", 200, needs="tensorrt") for model in others]
