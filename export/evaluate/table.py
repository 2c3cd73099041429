"""The results as a page for a person."""

from collections.abc import Iterator, Mapping

from strizh.export.evaluate.run import Figure, Result


def lines(results: Mapping[str, Result]) -> Iterator[str]:
    """One block a variant: its cosine to the baseline, then a line a figure."""
    for name, result in results.items():
        yield f"{name}, {result.texts} texts"
        if result.baseline == name:
            yield "  is the baseline"
        elif result.cosine_mean is not None:
            yield (
                f"  cosine to {result.baseline}: {result.cosine_mean:.6f} on average, {result.cosine_min:.6f} at worst"
            )
        width = max(len(task) for task in result.tasks)
        for task, figures in result.tasks.items():
            for measure, figure in figures.items():
                yield f"  {task:<{width}}  {measure:<15}  {_cell(figure, result.baseline == name)}"
        yield ""


def _cell(figure: Figure, is_baseline: bool) -> str:
    value = f"{figure.value:.4f}"
    if figure.delta is None or is_baseline:
        return value
    return f"{value}  {figure.delta:+.4f}  [{figure.low:+.4f}, {figure.high:+.4f}]"
