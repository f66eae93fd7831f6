"""A table whose columns are made when somebody asks for them: of a long run few of many are used.

What the columns are and where they come from is the business of who makes the table.
"""

from collections.abc import Callable, Collection, ItemsView, Iterator, KeysView, ValuesView
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class LazyColumns(dict[str, Ints]):
    """The columns of a table by name, in order; `cut` makes one when somebody asks for it."""

    def __init__(self, names: Collection[str], cut: Callable[[str], Ints]) -> None:
        super().__init__()
        self._names = dict.fromkeys(names)
        self._cut = cut

    def __missing__(self, name: str) -> Ints:
        if name not in self._names:
            raise KeyError(name)
        column = self[name] = self._cut(name)
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """The names."""
        return KeysView(self)

    def values(self) -> ValuesView[Ints]:  # type: ignore[override]
        """All columns."""
        return ValuesView(self)

    def items(self) -> ItemsView[str, Ints]:  # type: ignore[override]
        """All columns with their names."""
        return ItemsView(self)

    def chosen(self, rows: Any) -> "LazyColumns":
        """Some rows of the table, of no more columns than are asked for."""
        return LazyColumns(self._names, lambda name: self[name][rows])

    @property
    def nbytes(self) -> int:
        """Bytes of the columns that were asked for."""
        return sum(column.nbytes for column in super().values())
