"""What keys of a cache tell apart: code, files and versions around an estimator."""

import functools
import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from alone import run_alone, run_file_alone
from in_fork import in_fork
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skanticipate import (
    MLP,
    DistilledAnticipator,
    GloVePrior,
    LanguageTeacher,
    MixturePrior,
    RecognitionTeacher,
    SmoothedAnticipator,
    TeacherEnsemble,
)
from skanticipate.data.rows import RowView
from skanticipate.datasets import make_kitchen
from skanticipate.estimator import provenance, state
from skanticipate.signals.cache import key_of

DATA = make_kitchen(4, 8, n_features=6, random_state=0)
PAST, FUTURE, Y = DATA.X_past, DATA.X_future, DATA.y
CLIPS, CODES = RowView(np.zeros((3, 2))), np.array([0, 1, 0])


def key(teacher):
    return key_of(teacher, CLIPS, CODES, np.array([0, 1]), 0, 0, None)


class Reading(BaseEstimator):
    """Reads files that a parameter names."""

    def __init__(self, source=None):
        self.source = source


def fitted(folder, **params):
    model = DistilledAnticipator(
        MLP(4), max_epochs=1, random_state=0, teacher_cache=folder, **params
    )
    return model.fit(PAST, Y, FUTURE)


# ----------------------------------------------------------------- code of the user

CODE = {
    "own.py": """
        from sklearn.preprocessing import StandardScaler
        from skanticipate import MLP, RecognitionTeacher, UniformPrior
        from skanticipate.training.schedules import Schedule
        import base, helpers
        import whole.part
        from constants import *
        from package import deep

        class Teacher(base.Teacher):
            def predict_proba(self, X):
                import lazy, lazily.deep
                from lazily import deeper
                return super().predict_proba(X) ** 1

        class Spec(MLP):
            power = 1

        class Prior(UniformPrior):
            power = 1

        class Rate(Schedule):
            def decay(self, epoch, max_epochs):
                return 1

        class Scaler(StandardScaler):
            power = 1

        class Table(dict):
            power = 1
        """,
    "base.py": """
        from skanticipate import RecognitionTeacher

        class Teacher(RecognitionTeacher):
            power = 1
        """,
    "helpers.py": "def power(): return 1",
    "constants.py": "POWER = 1",
    "unrelated.py": "POWER = 1",
    "whole/__init__.py": "POWER = 1",
    "whole/part.py": "",
    "lazy.py": "def power():\n    import lazier",
    "lazier.py": "POWER = 1",
    "lazily/__init__.py": "raise SystemExit(1)",
    "lazily/deep.py": "raise SystemExit(1)",
    "lazily/deeper.py": "from . import deepest",
    "lazily/deepest.py": "POWER = 1",
    "package/__init__.py": "POWER = 1",
    "package/deep.py": "from . import deeper",
    "package/deeper.py": "POWER = 1",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Folder of the user's modules, and a function that imports them anew."""
    folder = tmp_path / "code"
    for name, text in CODE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.split("\n        ")
        path.write_text("\n".join(lines).strip() + "\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = dict(sys.modules)

    def import_anew():
        for name in set(sys.modules) - set(before):
            del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module("own")

    yield folder, import_anew
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def edit(path, old="1", new="2"):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


HOLDERS = {
    "teacher": lambda own: own.Teacher(),
    "network": lambda own: RecognitionTeacher(own.Spec(4)),
    "ensemble": lambda own: TeacherEnsemble([LogisticRegression(), own.Teacher()]),
    "pipeline": lambda own: make_pipeline(own.Scaler(), LogisticRegression()),
    "ensemble of pipelines": lambda own: TeacherEnsemble(
        [make_pipeline(StandardScaler(), RecognitionTeacher(own.Spec(4)))]
    ),
    "schedule": lambda own: RecognitionTeacher(lr_schedule=own.Rate()),
    "prior": lambda own: SmoothedAnticipator(
        prior=MixturePrior([GloVePrior(vectors={"a": [1.0]}), own.Prior()])
    ),
    "mapping": lambda own: RecognitionTeacher(class_weight=own.Table({0: 1.0})),
    "frozen": lambda own: FrozenEstimator(own.Teacher(MLP(4), max_epochs=1)),
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_code_of_the_users_classes_is_part_of_the_key(holder, modules):
    folder, import_anew = modules
    first = key(holder(import_anew()))
    assert key(holder(import_anew())) == first
    edit(folder / "own.py")
    second = key(holder(import_anew()))
    assert second != first
    edit(folder / "own.py", "2", "1")
    assert key(holder(import_anew())) == first


@pytest.mark.parametrize(
    "name",
    [
        *("base.py", "helpers.py", "constants.py", "package/deeper.py"),
        *("package/__init__.py", "whole/__init__.py", "lazier.py"),
        *("lazily/__init__.py", "lazily/deep.py", "lazily/deepest.py"),
    ],
)
def test_so_is_what_that_code_imports_of_the_users_own(name, modules):
    folder, import_anew = modules
    first = key(import_anew().Teacher())
    edit(folder / name)
    assert key(import_anew().Teacher()) != first


def test_so_is_the_package_that_a_class_is_in(modules):
    folder, import_anew = modules
    (folder / "lonely").mkdir()
    (folder / "lonely" / "__init__.py").write_text("POWER = 1\n")
    (folder / "lonely" / "own.py").write_text(
        CODE["base.py"].replace("\n        ", "\n")
    )
    import_anew()
    first = key(importlib.import_module("lonely.own").Teacher())
    edit(folder / "lonely" / "__init__.py")
    import_anew()
    assert key(importlib.import_module("lonely.own").Teacher()) != first


def test_a_module_may_be_imported_and_edited_after_a_key_was_made(modules):
    folder, import_anew = modules
    own = import_anew()
    first = key(own.Teacher())
    edit(folder / "lazier.py")
    second = key(own.Teacher())
    importlib.import_module("lazier")
    assert key(own.Teacher()) == second != first


def test_a_module_may_have_the_name_of_one_of_python(modules):
    folder, import_anew = modules
    (folder / "wave.py").write_text("from base import Teacher as Base\n")
    edit(folder / "wave.py", "\n", "\nclass Teacher(Base):\n    power = 1\n")
    import_anew()
    first = key(importlib.import_module("wave").Teacher())
    edit(folder / "wave.py")
    import_anew()
    assert key(importlib.import_module("wave").Teacher()) != first


def test_imports_that_cannot_succeed_are_passed_over(modules):
    folder, import_anew = modules
    edit(
        folder / "own.py",
        "import base, helpers\n",
        "try:\n    from . import base\nexcept ImportError:\n    import base\n",
    )
    first = key(import_anew().Teacher())
    edit(folder / "base.py")
    assert key(import_anew().Teacher()) != first


def test_other_modules_of_the_user_are_not(modules):
    folder, import_anew = modules
    first = key(import_anew().Teacher())
    importlib.import_module("unrelated")
    edit(folder / "unrelated.py")
    assert key(import_anew().Teacher()) == first
    ours = key(RecognitionTeacher(MLP(4)))
    edit(folder / "own.py")
    import_anew()
    assert key(RecognitionTeacher(MLP(4))) == ours


def test_a_module_that_was_reloaded_is_believed_and_one_that_was_edited_is_not(
    modules,
):
    folder, import_anew = modules
    own = import_anew()
    first = key(own.Teacher())
    edit(folder / "own.py")
    with pytest.warns(UserWarning, match="own was edited since it was imported.*resta"):
        assert key(own.Teacher()) is None
    old = own.Teacher
    own = importlib.reload(own)
    assert key(own.Teacher()) not in (first, None)
    with pytest.warns(UserWarning, match="Teacher of own is defined in no module file"):
        assert key(old()) is None


def fit_thrice(code, cache, found):
    """With one cache twice, and without: whether the teacher is asked, and answers."""
    sys.path.insert(0, str(code.parent))
    sys.dont_write_bytecode = True  # both are written in the same second
    from own_teacher import ASKED, Teacher

    lines = []
    for folder in (cache, cache, None):
        ASKED.clear()
        model = DistilledAnticipator(
            MLP(4),
            teacher=Teacher(MLP(4), max_epochs=1),
            teacher_weight=1.0,
            max_epochs=1,
            random_state=0,
            teacher_cache=folder,
        ).fit(PAST, Y, FUTURE)
        lines.append(f"{bool(ASKED)} {model.predict_proba(PAST).tobytes().hex()}")
    found.write_text("\n".join(lines))


OWN_TEACHER = """
from skanticipate import RecognitionTeacher

ASKED = []

class Teacher(RecognitionTeacher):
    def predict_proba(self, X):
        ASKED.append(len(X))
        proba = super().predict_proba(X) ** 1
        return proba / proba.sum(axis=1, keepdims=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_does_not_believe_what_other_code_answered(tmp_path):
    code, folder = tmp_path / "own_teacher.py", tmp_path / "cache"

    found = []
    for power in ("** 1", "** 8"):
        code.write_text(OWN_TEACHER.replace("** 1", power))
        assert in_fork(fit_thrice, code, folder, tmp_path / "found") == 0
        lines = (tmp_path / "found").read_text().splitlines()
        asked, answers = zip(*map(str.split, lines), strict=True)
        assert asked == ("True", "False", "True")
        assert len(set(answers)) == 1
        found.append(answers[0])
    assert found[0] != found[1]


# ------------------------------------------------------------- classes without a file

TYPED = """
class Teacher(RecognitionTeacher):
    def predict_proba(self, X):
        proba = super().predict_proba(X) ** {power}
        return proba / proba.sum(axis=1, keepdims=True)
"""


def executed(power, module):
    namespace = {"RecognitionTeacher": RecognitionTeacher, "__name__": module}
    exec(TYPED.format(power=power), namespace)
    return namespace["Teacher"]


def local(power):
    class Teacher(RecognitionTeacher):
        def predict_proba(self, X):
            proba = super().predict_proba(X) ** power
            return proba / proba.sum(axis=1, keepdims=True)

    return Teacher


def of_a_doctest(power):
    return executed(power, "skanticipate.networks.base")


def typed_at_a_prompt(power):
    """As after `python -i script.py`: the module has a file, the class has not."""
    globals()["Teacher"] = executed(power, __name__)
    return Teacher  # noqa: F821


def of_no_module(power):
    return executed(power, "builtins")


@pytest.mark.parametrize("make", [local, of_a_doctest, typed_at_a_prompt, of_no_module])
def test_classes_without_a_file_are_not_kept_and_said_so_once(make, tmp_path):
    answers = []
    for power in (1, 8):
        teacher = make(power)(MLP(4), max_epochs=1)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = fitted(tmp_path / "new", teacher=teacher, teacher_weight=1.0)
        said = [str(w.message) for w in told if "teacher_cache" in str(w.message)]
        assert len(said) == 1
        assert "Teacher of" in said[0] and "is defined in no module file" in said[0]
        assert "Define classes at the top level of a module file" in said[0]
        assert {w.filename for w in told} == {__file__}
        assert not (tmp_path / "new").exists()
        answers.append(model.predict_proba(PAST))
        without = fitted(None, teacher=teacher, teacher_weight=1.0)
        assert_array_equal(answers[-1], without.predict_proba(PAST))
    assert np.abs(answers[0] - answers[1]).max() > 1e-6


def replacement(self, X):
    return np.full((len(X), 2), 0.5)


@pytest.mark.parametrize("wrapped", [False, True])
def test_methods_that_were_replaced_are_not_those_of_a_file(
    wrapped, modules, monkeypatch
):
    own = modules[1]()
    assert key(own.Teacher()) is not None
    method = replacement
    if wrapped:
        method = functools.wraps(RecognitionTeacher.fit)(lambda *args: None)
    kinds = [RecognitionTeacher] if wrapped else [own.Teacher, RecognitionTeacher]
    for kind in kinds:
        with monkeypatch.context() as patch:
            patch.setattr(kind, "predict_proba", method)
            with pytest.warns(UserWarning, match="a method of .*Teacher of .* no mod"):
                assert key(own.Teacher()) is None
    assert key(own.Teacher()) is not None


class Pair(NamedTuple):
    first: int


def test_methods_that_the_standard_library_gives_are_no_replacement():
    assert key(Reading(Pair(1))) is not None


SCRIPT = """
import sys, warnings
from skanticipate import MLP, DistilledAnticipator
from skanticipate.datasets import make_kitchen

class Spec(MLP):
    pass

data = make_kitchen(4, 8, n_features=6, random_state=0)
with warnings.catch_warnings(record=True) as record:
    warnings.simplefilter("always")
    for _ in range(2):
        DistilledAnticipator(
            Spec(4), max_epochs=1, random_state=0, teacher_cache=sys.argv[1]
        ).fit(data.X_past, data.y, data.X_future)
print(*(w.message for w in record))
"""
# Of a prompt, and of `python -c`: a module without a file.
SESSION = f"""
import sys, types
main = sys.modules["__main__"] = types.ModuleType("__main__")
exec({SCRIPT!r}, vars(main))
"""


@pytest.mark.parametrize("as_script", [False, True])
def test_a_session_has_no_file_and_a_script_has(as_script, tmp_path):
    script, cache = tmp_path / "script.py", tmp_path / "cache"
    script.write_text(SCRIPT)
    if as_script:
        said = run_file_alone(script, str(cache))
    else:
        said = run_alone(SESSION, str(cache))
    told = "Spec of __main__ is defined in no module file" in said
    assert told == (not as_script)
    assert cache.exists() == as_script


def test_functions_are_refused_as_before():
    with pytest.raises(TypeError, match="teacher_cache cannot keep a Pipeline.*ufunc"):
        key(make_pipeline(FunctionTransformer(np.abs), LogisticRegression()))
    with pytest.raises(TypeError, match="cannot keep a Pipeline.*holds a function"):
        key(make_pipeline(FunctionTransformer(edit), LogisticRegression()))


# -------------------------------------------------------------------------- versions


@pytest.mark.parametrize("name", ["numpy", "scipy", "scikit-learn", "torch"])
def test_versions_of_what_computes_are_part_of_the_key(name, monkeypatch):
    first = key(RecognitionTeacher())
    found = provenance._version
    monkeypatch.setattr(
        provenance, "_version", lambda n: "0.0" if n == name else found(n)
    )
    assert key(RecognitionTeacher()) != first


def forget_installed():
    """Let installed distributions be looked for anew, as in another process."""
    for name in ("_version", "_all_distributions", "_installed"):
        getattr(provenance, name).cache_clear()


def test_so_are_those_of_other_distributions(tmp_path, monkeypatch):
    """An installed package of which a file changes that defines no class of ours."""
    site = tmp_path / "site-packages"
    package, about = site / "somebodys", site / "their_dist-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").write_text("from sklearn.dummy import DummyClassifier\n")
    (package / "models.py").write_text(
        "from sklearn.dummy import DummyClassifier\n"
        "class Teacher(DummyClassifier):\n    pass\n"
    )
    (about / "METADATA").write_text("Name: their-dist\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("somebodys\n")
    (about / "RECORD").write_text("somebodys/__init__.py,,\nsomebodys/models.py,,\n")
    monkeypatch.syspath_prepend(site)
    forget_installed()
    models = importlib.import_module("somebodys.models")
    first = key(models.Teacher())
    assert provenance.surroundings(models.Teacher())[0]["versions"]["their-dist"] == (
        "1.0"
    )
    (about / "METADATA").write_text("Name: their-dist\nVersion: 1.1\n")
    provenance._version.cache_clear()
    assert key(models.Teacher()) != first
    forget_installed()
    del sys.modules["somebodys.models"], sys.modules["somebodys"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Folder of an installed distribution, which `own` or `somebodys` may import."""
    site = tmp_path / "site-packages"
    (site / "somebodys").mkdir(parents=True)
    (site / "somebodys" / "__init__.py").write_text("")
    (site / "somebodys" / "tools.py").write_text("POWER = 1\n")
    (site / "somebodys" / "models.py").write_text(
        "from sklearn.dummy import DummyClassifier\n"
        "class Teacher(DummyClassifier):\n"
        "    def fit(self, X, y):\n"
        "        from .tools import POWER\n"
    )
    about = site / "their_dist-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: their-dist\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("somebodys\n")
    monkeypatch.syspath_prepend(site)
    before = dict(sys.modules)
    forget_installed()
    yield site
    forget_installed()
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def test_so_are_those_of_what_the_users_modules_import(modules, installed):
    folder, import_anew = modules
    edit(folder / "lazier.py", "POWER = 1", "import somebodys.tools")
    own = import_anew()
    first = key(own.Teacher())
    about = installed / "their_dist-1.0.dist-info" / "METADATA"
    edit(about, "Version: 1.0", "Version: 1.1")
    provenance._version.cache_clear()
    assert key(own.Teacher()) != first


def test_files_of_the_package_that_a_class_is_installed_with_are_part_of_the_key(
    installed,
):
    models = importlib.import_module("somebodys.models")
    first = key(models.Teacher())
    edit(installed / "somebodys" / "tools.py")
    assert key(models.Teacher()) != first


def test_an_installed_package_is_told_by_what_its_installer_wrote(installed):
    """Not by reading its files, of which a package such as pandas has hundreds."""
    record = installed / "their_dist-1.0.dist-info" / "RECORD"
    lines = [
        "somebodys/models.py,sha256=a,1",
        "somebodys/tools.py,sha256=1,1",
        "somebodys/tools.pyc,,",
        "../../bin/somebodys,sha256=1,1",
    ]
    record.write_text("\n".join(lines))
    models = importlib.import_module("somebodys.models")
    teacher = models.Teacher()
    first, _ = provenance.surroundings(teacher)
    assert [name for name, _ in first["code"]] == ["somebodys", "somebodys.models"]
    forget_installed()
    record.write_text("\n".join([*lines[:3], "../../bin/somebodys,sha256=2,1"]))
    assert provenance.surroundings(teacher) == (first, [])  # in another environment
    edit(record, "tools.py,sha256=1", "tools.py,sha256=2")  # the same version again
    forget_installed()
    again, _ = provenance.surroundings(teacher)
    assert again["versions"] == first["versions"] and again != first
    edit(installed / "somebodys" / "models.py", "fit", "fit_")
    assert provenance.surroundings(teacher)[1]  # not what was imported


def test_of_a_library_that_holds_a_parameter_no_import_is_followed():
    found, untold = provenance.surroundings(SmoothedAnticipator(prior=FRAME))
    assert not untold and "pandas" in found["versions"]
    assert len(found["code"]) < 30


# ----------------------------------------------------------------- values and data


class Forgetful(Reading):
    def __getstate__(self):
        return {}


FRAME = pd.DataFrame({"a": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FRAME, FRAME.set_index(pd.Index([1, 0]))),
        (FRAME, FRAME.set_index(pd.Index(["0", "1"]))),
        (FRAME.astype(object), FRAME.astype("category").astype(object).iloc[::-1]),
        (FRAME.astype("category"), FRAME),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
        (np.ma.array([1, 2], mask=[0, 0]), np.ma.array([1, 2], mask=[1, 0])),
        (np.zeros(1, [("a", int)]), np.zeros(1, [("b", int)])),
        (Forgetful(1), Forgetful(2)),
        (Forgetful(Forgetful(1)), Forgetful(Forgetful(2))),
        ([np.random.RandomState(0)], [np.random.RandomState(1)]),
    ],
    ids=[
        *("index", "texts", "order", "categories", "mask", "masked", "fields"),
        *("dropped", "dropped twice", "stream"),
    ],
)
def test_values_that_differ_are_told_apart(one, other):
    assert key(Reading(one)) != key(Reading(other))
    assert key(Reading(one)) == key(clone(Reading(one)))


GIVEN = {
    "clips": np.zeros((3, 2)),
    "codes": CODES,
    "classes": np.array([0, 1]),
    "cross_fit": 0,
    "seed": 0,
    "signals": None,
}


def key_given(**changed):
    given = {**GIVEN, **changed}
    return key_of(Reading(), RowView(given.pop("clips")), **given)


@pytest.mark.parametrize(
    "changed",
    [
        {"clips": np.ones((3, 2))},
        {"clips": np.zeros((3, 2, 1))},
        {"clips": np.zeros((3, 2), int)},
        {"codes": np.array([0, 1, 1])},
        {"classes": np.array([0, 2])},
        {"cross_fit": 2},
        {"seed": 1},
        {"signals": {"groups": CODES}},
    ],
    ids=["numbers", "shape", "dtype", *list(GIVEN)[1:]],
)
def test_all_that_a_fit_is_given_is_part_of_the_key(changed):
    assert key_given(**changed) != key_given()
    assert key_given(**changed) == key_given(**changed)


def test_so_are_texts_and_the_version_of_this_package(monkeypatch):
    first, other = np.array(["cut", "wash", "pan"]), np.array(["cut", "wash", "pot"])
    assert key_given(clips=first) != key_given(clips=other)
    before = key_given()
    monkeypatch.setattr("skanticipate.signals.cache.__version__", "0.0")
    assert key_given() != before


# ----------------------------------------------------------------------------- files


def vectors(path, number):
    path.write_text(f"cut {number} 0.5\nonion 0.25 1.0\n")
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_contents_of_a_file_of_vectors_are_part_of_the_key(kind, tmp_path):
    path = vectors(tmp_path / "vectors.txt", "1.0")
    teacher = SmoothedAnticipator(prior=GloVePrior(vectors=kind(path)))
    first = key(teacher)
    vectors(path, "2.0")
    assert key(teacher) != first
    vectors(path, "1.0")
    assert key(teacher) == first


def test_a_file_with_the_time_and_size_of_another_is_another(tmp_path):
    path = vectors(tmp_path / "vectors.txt", "1.0")
    stat = path.stat()
    first = key(Reading(path))
    vectors(path, "2.0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert key(Reading(path)) != first


def test_files_in_containers_relative_paths_and_homes_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "vectors.txt"
    for source in (["vectors.txt"], {"a": ("vectors.txt",)}, "~/vectors.txt"):
        vectors(path, "1.0")
        first = key(Reading(source))
        vectors(path, "2.0")
        assert key(Reading(source)) != first


@pytest.mark.parametrize("kind", [str, Path])
def test_so_are_folders_of_estimators_that_are_not_ours(kind, tmp_path):
    folder = tmp_path / "folder" / "deeper"
    folder.mkdir(parents=True)
    first = key(Reading(kind(tmp_path / "folder")))
    vectors(folder / "vectors.txt", "1.0")
    second = key(Reading(kind(tmp_path / "folder")))
    vectors(folder / "vectors.txt", "2.0")
    assert len({first, second, key(Reading(kind(tmp_path / "folder")))}) == 3


def test_so_are_folders_that_are_links(tmp_path):
    (tmp_path / "folder").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "folder" / "link").symlink_to(elsewhere)
    (elsewhere / "above").symlink_to(tmp_path / "folder")  # and round again
    vectors(elsewhere / "vectors.txt", "1.0")
    first = key(Reading(tmp_path / "folder"))
    vectors(elsewhere / "vectors.txt", "2.0")
    assert key(Reading(tmp_path / "folder")) != first


def test_folders_for_writing_and_separators_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    teachers = [
        make_pipeline(StandardScaler(), LogisticRegression(), memory="memory"),
        DistilledAnticipator(teacher_cache="memory"),
        *map(Reading, ["/", ".", "..", "", "a\0b", "x" * 5000, "no such file"]),
    ]
    first = [key(teacher) for teacher in teachers]
    (tmp_path / "memory").mkdir()
    vectors(tmp_path / "memory" / "vectors.txt", "1.0")
    assert [key(teacher) for teacher in teachers] == first


# -------------------------------------------------------------------- language models


@pytest.fixture
def encoder(tmp_path):
    tiny_bert = pytest.importorskip("tiny_bert")
    return Path(tiny_bert.write_tiny_bert(tmp_path / "models" / "bert"))


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: TeacherEnsemble([t])])
@pytest.mark.parametrize("freeze", [True, False])
def test_files_of_an_encoder_are_part_of_the_key(wrap, freeze, encoder):
    teacher = wrap(LanguageTeacher(str(encoder), freeze=freeze))
    first, read = key(teacher), set()
    for path in sorted(encoder.iterdir()):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b" ")
        read |= {path.name} if key(teacher) != first else set()
        path.write_bytes(content)
        assert key(teacher) == first
    assert read >= {"config.json", "model.safetensors", "tokenizer.json"}
    (encoder / "vocab.txt").write_text("[PAD]")
    assert key(teacher) != first
    (encoder / "vocab.txt").unlink()
    for name in ("README.md", "pytorch_model.bin"):
        (encoder / name).write_text("not read")
    assert key(teacher) == first


def test_a_name_stands_for_the_folder_of_its_download(encoder, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "snapshots").mkdir()
    keys = set()
    for commit in ("0" * 40, "1" * 40):
        (repository / "refs" / "main").write_text(commit)
        encoder.rename(repository / "snapshots" / commit)
        keys.add(key(LanguageTeacher("someone/tiny")))
        encoder = Path(
            pytest.importorskip("tiny_bert").write_tiny_bert(
                tmp_path / "other", hidden_act="relu"
            )
        )
    assert len(keys) == 2


def test_a_replaced_encoder_is_asked_anew(encoder, tmp_path):
    tiny_bert = pytest.importorskip("tiny_bert")
    histories = np.array(["take pan", "cut onion", "wash board", "open pan"] * 8)
    labels = np.arange(len(Y)) % 4

    def fit(folder):
        teacher = LanguageTeacher(
            encoder, verb_weight=0, noun_weight=0, max_epochs=2, device="cpu"
        )
        return DistilledAnticipator(
            MLP(4),
            text_teacher=teacher,
            max_epochs=2,
            random_state=0,
            teacher_cache=folder,
        ).fit(PAST, labels, past_actions=histories[: len(Y)])

    first = fit(tmp_path / "cache").predict_proba(PAST)
    assert_array_equal(fit(tmp_path / "cache").predict_proba(PAST), first)
    tiny_bert.write_tiny_bert(encoder, hidden_act="relu")
    second = fit(tmp_path / "cache").predict_proba(PAST)
    assert_array_equal(second, fit(None).predict_proba(PAST))
    assert np.abs(first - second).max() > 1e-9


# ----------------------------------------------------------------------------- parts


def test_parts_go_as_deep_as_descriptions_do():
    inner = Reading({"a": ["x", (Reading(np.array(["y", None], object)),)]})
    found = list(state.parts(Reading([inner, 1.5])))
    assert sum(isinstance(part, Reading) for part in found) == 3
    assert {part for part in found if isinstance(part, str)} == {"x", "y"}
