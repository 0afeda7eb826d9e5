"""What is installed as `coordconv-keras`: the layer and nothing else, on any backend."""

import email
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from packaging.metadata import Metadata

ROOT = Path(__file__).parents[2]
CONTENT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, GROUPS = CONTENT["project"], CONTENT["dependency-groups"]
SOURCES = {f"coordconv/{path.name}" for path in (ROOT / "src" / "coordconv").iterdir() if path.is_file()}
PINS = dict(
    line.strip().split("==")
    for line in (ROOT / "tests" / "coordconv" / "backends.txt").read_text("utf-8").splitlines()
    if "==" in line
)
# Keras as old and as new as it gets, neither with TensorFlow. Keras 3.3 imports packaging and does not ask for it.
ENVIRONMENTS = {
    "jax": ["keras==3.3.*", "packaging", f"jax=={PINS['jax']}", f"jaxlib=={PINS['jaxlib']}"],
    "torch": ["keras", f"torch=={PINS['torch']}"],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist; the wheel is made from the sdist, as an index would."""
    folder = tmp_path_factory.mktemp("dist")
    made = subprocess.run(
        [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", folder, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Failed to fetch" in made.stderr or "error sending request" in made.stderr:
        pytest.skip("no package index within reach")
    assert made.returncode == 0, made.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_wheel_and_sdist_hold_the_layer_only(built):
    wheel, sdist = built
    name = f"coordconv_keras-{PROJECT['version']}"
    assert "coordconv/py.typed" in SOURCES
    about = {f"{name}.dist-info/{file}" for file in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    with zipfile.ZipFile(wheel) as file:
        assert set(file.namelist()) == SOURCES | about
    with tarfile.open(sdist) as file:
        names = {member.name.removeprefix(f"{name}/") for member in file if member.isfile()}
    assert names == {f"src/{source}" for source in SOURCES} | {"LICENSE", "PKG-INFO", "pyproject.toml", ".gitignore"}


def test_metadata_is_valid_and_asks_for_no_backend(built):
    wheel, _ = built
    with zipfile.ZipFile(wheel) as file:
        raw = file.read(f"coordconv_keras-{PROJECT['version']}.dist-info/METADATA")
    metadata = Metadata.from_email(raw, validate=True)  # raises for what an index would refuse
    assert (metadata.name, str(metadata.version)) == ("coordconv-keras", PROJECT["version"])
    assert sorted(str(each) for each in metadata.requires_dist) == ["keras>=3.3", "numpy"]
    assert all(f"3.{minor}.0" in metadata.requires_python for minor in (11, 12, 13))
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description.startswith("# CoordConv for Keras 3\n")
    assert not email.message_from_bytes(raw).defects


def test_locks_and_builds_without_its_sources(built, tmp_path):
    """`mlflow run --env-manager uv` syncs a copy of these two files; development's group alone needs the study."""
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "build", "--quiet", "--wheel", tmp_path], check=True)
    export = [*uv, "export", "--quiet", "--frozen", "--no-dev", "--no-hashes", "--directory", tmp_path]
    exported = subprocess.run(export, capture_output=True, text=True, check=True).stdout
    lines = {line.partition(" ;")[0] for line in exported.splitlines()}
    assert {*GROUPS["training"], *GROUPS["study"][1:]} <= lines
    assert not any("notsoclevr" in line for line in lines)


def test_the_example_of_the_description_runs():
    _, code, _ = PROJECT["readme"]["text"].replace("```python", "```").split("```")
    namespace = {}
    exec(code, namespace)
    assert namespace["model"].output_shape == (None, 2)


def compute_outputs(python, backend, file, **environment):
    """Run outputs.py, in a folder from which the source is not seen."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run(
        [python, ROOT / "tests" / "coordconv" / "outputs.py", file],
        cwd=file.parent,
        env={**clean, "KERAS_BACKEND": backend, **environment},
        check=True,
    )
    return dict(np.load(file))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the source gives on TensorFlow."""
    file = tmp_path_factory.mktemp("tensorflow") / "outputs.npz"
    return compute_outputs(sys.executable, "tensorflow", file, PYTHONPATH=str(ROOT / "src"))


@pytest.mark.skipif("BACKENDS_PYTHON" not in os.environ, reason="run by `make test-backends`")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("backend", ENVIRONMENTS)
def test_installed_in_an_empty_environment_it_computes_the_same(backend, built, expected, tmp_path):
    subprocess.run([os.environ["BACKENDS_PYTHON"], "-m", "venv", tmp_path / "empty"], check=True)
    python = tmp_path / "empty" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, built[0], *ENVIRONMENTS[backend]], check=True)
    outputs = compute_outputs(python, backend, tmp_path / "outputs.npz")
    assert outputs.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name], array, rtol=0, atol=1e-5, err_msg=name)
    program = (
        "import importlib.util as u, coordconv, keras; print(keras.__version__); print(coordconv.__file__);"
        "print([name for name in ('tensorflow', 'notsoclevr', 'mlflow', 'click') if u.find_spec(name)])"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend}
    environment.pop("PYTHONPATH", None)
    shown = subprocess.run(
        [python, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    version, file, unwanted = shown.stdout.splitlines()
    assert version.startswith("3.3.") if backend == "jax" else version >= "3.15"
    assert Path(file).is_relative_to(tmp_path / "empty")
    assert unwanted == "[]"
