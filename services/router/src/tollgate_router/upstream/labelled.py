"""A metric's children by label values, looked up once each: the library's own look-up locks."""

from typing import Generic, TypeVar

from prometheus_client import Counter, Histogram

M = TypeVar("M", Counter, Histogram)


class Labelled(dict[tuple[str, ...], M], Generic[M]):
    """metric[label values]; bounded as the labels are."""

    def __init__(self, metric: M) -> None:
        super().__init__()
        self._metric: M = metric

    def __missing__(self, values: tuple[str, ...]) -> M:
        child: M = self._metric.labels(*values)
        self[values] = child
        return child
