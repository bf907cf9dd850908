"""What arguments may be, under short names, for annotations."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor
from torch.optim import Optimizer

if TYPE_CHECKING:
    from gensim.models import KeyedVectors as KeyedVectors
else:  # an extra, which takes seconds to import
    KeyedVectors = Any


class Entries(Protocol):
    """A mapping, or a Series of pandas."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Keys and values."""

    def __getitem__(self, key: Any, /) -> Any:
        """Value of a key."""

    def __contains__(self, key: Any, /) -> bool:
        """Whether it is there."""


class Table(Protocol):
    """A DataFrame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def __getitem__(self, name: Any, /) -> Any:
        """Column of a name."""

    def __contains__(self, name: Any, /) -> bool:
        """Whether there is one."""


class Rows(Protocol):
    """An array, a memory map, or a dataset of h5py or zarr."""

    @property
    def shape(self) -> Any:
        """Lengths of the axes, the first that of the rows."""

    @property
    def dtype(self) -> Any:
        """Type of numpy."""

    def __getitem__(self, row: Any, /) -> Any:
        """Rows by their numbers."""


class Splitter(Protocol):
    """A cross-validator of scikit-learn, or one of ours."""

    def split(self, X: Any, y: Any, groups: Any, /) -> Iterable[tuple[Any, Any]]:
        """Row numbers to train and to test on, of each fold."""

    def get_n_splits(self, X: Any, y: Any, groups: Any, /) -> int:
        """Count the folds."""


FilePath: TypeAlias = str | os.PathLike[str]
Seed: TypeAlias = int | np.random.RandomState
Labels: TypeAlias = ArrayLike | Sequence[object]  # None where one is missing
Columns: TypeAlias = Entries | Table  # equally long, by their names
Actions: TypeAlias = Entries | Table  # label -> (verb, noun), or columns of the three
Rate: TypeAlias = float | Entries | Table  # of all videos, or of each
Weights: TypeAlias = FilePath | Mapping[str, ArrayLike | Tensor]
Shape: TypeAlias = tuple[Any, ...]  # of a clip; of codes it ends in sizes of tables
OptimizerChoice: TypeAlias = (  # (parameters, lr) -> Optimizer
    Literal["adamw", "adam", "sgd"] | Callable[..., Optimizer]
)
Scorer: TypeAlias = Callable[[Any, Any, Any], float]  # (estimator, X, y)
