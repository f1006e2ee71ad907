"""The modules and dependencies of well-known packages."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from seldon_spec.config.checks.requirements import normalise

REMOVED = {
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), 12),
    **dict.fromkeys(("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "mailcap", "msilib", "nis"), 13),
    **dict.fromkeys(("lib2to3", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib"), 13),
    **dict.fromkeys(("uu", "xdrlib"), 13),
}
"""Modules of the standard library, with the minor version of Python 3 that removed them."""

ADDED = {"tomllib": 11}

PROVIDERS: dict[str, tuple[str, ...]] = {
    module: tuple(packages.split())
    for module, _, packages in (
        line.partition(": ")
        for line in """\
Bio: biopython
Crypto: pycryptodome pycrypto
Cryptodome: pycryptodomex
Levenshtein: levenshtein python-levenshtein
MeCab: mecab-python3
MySQLdb: mysqlclient
OpenSSL: pyopenssl
PIL: pillow pillow-simd
attr: attrs
bayes_opt: bayesian-optimization
bs4: beautifulsoup4 bs4
bson: pymongo bson
cv2: opencv-python-headless opencv-python opencv-contrib-python opencv-contrib-python-headless opencv py-opencv
daal4py: daal4py scikit-learn-intelex
dateutil: python-dateutil
dns: dnspython
docx: python-docx
dotenv: python-dotenv
faiss: faiss-cpu faiss-gpu faiss
fitz: pymupdf
git: gitpython
github: pygithub
grpc: grpcio
grpc_health: grpcio-health-checking
grpc_reflection: grpcio-reflection
igraph: igraph python-igraph
imblearn: imbalanced-learn
jose: python-jose
jpype: jpype1 jpype1-py3
jwt: pyjwt
kafka: kafka-python kafka-python-ng
keras: keras tensorflow tensorflow-cpu
magic: python-magic
memcache: python-memcached
mlflow: mlflow mlflow-skinny
mpl_toolkits: matplotlib
multipart: python-multipart
nacl: pynacl
onnxruntime: onnxruntime onnxruntime-gpu onnxruntime-openvino onnxruntime-directml
osgeo: gdal pygdal
paddle: paddlepaddle paddlepaddle-gpu
pkg_resources: setuptools
pptx: python-pptx
psycopg2: psycopg2 psycopg2-binary
pycrfsuite: python-crfsuite
pylab: matplotlib
pymongo: pymongo
pynvml: nvidia-ml-py nvidia-ml-py3 pynvml
pywt: pywavelets
rdkit: rdkit rdkit-pypi
serial: pyserial
simdjson: pysimdjson
skimage: scikit-image
sklearn: scikit-learn
sklearnex: scikit-learn-intelex
skopt: scikit-optimize
slugify: python-slugify
snappy: python-snappy
tables: tables pytables
tensorflow: tensorflow tensorflow-cpu tensorflow-gpu tensorflow-cpu-aws tf-nightly intel-tensorflow tensorflow-base
tlz: toolz cytoolz
torch: torch pytorch pytorch-cpu pytorch-gpu
transformers: transformers adapter-transformers
umap: umap-learn
vertexai: google-cloud-aiplatform
win32api: pywin32
xgboost: xgboost xgboost-cpu py-xgboost py-xgboost-cpu py-xgboost-gpu
yaml: pyyaml
zmq: pyzmq
""".splitlines()
    )
}
"""Modules whose name differs from their package; the first package is suggested."""

BRINGS: dict[str, tuple[str, ...]] = {
    package: tuple(others.split())
    for package, _, others in (
        line.partition(":")
        for line in """\
absl-py:
attrs:
beautifulsoup4: soupsieve typing-extensions
boto3: botocore jmespath s3transfer
botocore: jmespath python-dateutil urllib3
cachetools:
catboost: numpy pandas scipy matplotlib plotly graphviz six
cloudpickle:
dill:
fastapi: annotated-doc anyio idna pydantic sniffio starlette typing-extensions
filelock:
fsspec:
gensim: numpy scipy smart-open
geopandas: numpy pandas packaging shapely pyproj pyogrio fiona
h5py: numpy
huggingface-hub: filelock fsspec packaging pyyaml requests tqdm typing-extensions httpx
imbalanced-learn: numpy scipy scikit-learn joblib threadpoolctl
joblib:
keras: absl-py numpy rich namex h5py optree ml-dtypes packaging
lightgbm: numpy scipy
llvmlite:
matplotlib: contourpy cycler fonttools kiwisolver numpy packaging pillow pyparsing python-dateutil
networkx:
nltk: click joblib regex tqdm
numba: llvmlite numpy
numpy:
onnx: numpy protobuf typing-extensions ml-dtypes
onnxruntime: coloredlogs flatbuffers numpy packaging protobuf sympy
opencv-python: numpy
opencv-python-headless: numpy
orjson:
packaging:
pandas: numpy python-dateutil pytz tzdata
patsy: numpy six
pillow:
polars:
prometheus-client:
psycopg2-binary:
pyarrow: numpy
pydantic: annotated-types pydantic-core typing-extensions typing-inspection
python-dateutil: six
python-dotenv:
pytz:
pyyaml:
redis: async-timeout
regex:
requests: certifi charset-normalizer idna urllib3
safetensors:
scikit-image: numpy scipy networkx pillow imageio tifffile packaging lazy-loader pywavelets
scikit-learn: joblib numpy scipy threadpoolctl
scipy: numpy
seaborn: matplotlib numpy pandas
seldon-core:
seldon-spec:
sentence-transformers: transformers tqdm torch scikit-learn scipy huggingface-hub pillow typing-extensions
setuptools:
shap: numpy scipy scikit-learn pandas tqdm packaging slicer numba cloudpickle
six:
statsmodels: numpy scipy pandas patsy packaging
sympy: mpmath
tensorflow: absl-py astunparse flatbuffers gast google-pasta grpcio h5py keras libclang ml-dtypes numpy opt-einsum \
packaging protobuf requests setuptools six tensorboard termcolor typing-extensions wrapt
tensorflow-cpu: tensorflow
threadpoolctl:
tomli:
tokenizers: huggingface-hub
torch: filelock fsspec jinja2 networkx setuptools sympy typing-extensions
torchaudio: torch
torchvision: numpy pillow torch
tqdm:
transformers: filelock huggingface-hub numpy packaging pyyaml regex requests safetensors tokenizers tqdm
typing-extensions:
ujson:
urllib3:
wheel:
xgboost: numpy scipy
""".splitlines()
    )
}
"""All dependencies, in any version, of packages that models often use."""

_NO_CODE = re.compile(r"types-.*|.*-stubs")


def with_dependencies(names: Iterable[str]) -> set[str]:
    """Return normalised package names with the dependencies of the known ones."""
    found: set[str] = set()
    pending = [*names]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += BRINGS.get(name, ())
    return found


def is_provided(module: str, packages: Iterable[str]) -> bool:
    """Return whether a package can provide a top-level module, by the table or by its name."""
    known = PROVIDERS.get(module)
    if known is not None:
        return any(name in known for name in packages)
    wanted = normalise(module)
    squeezed = wanted.replace("-", "")
    for name in packages:
        if _NO_CODE.fullmatch(name):
            continue
        parts = name.split("-")
        if wanted == name or wanted in parts or squeezed in (name.replace("-", ""), _bare(parts)):
            return True
    return False


def _bare(parts: list[str]) -> str:
    """Return a package's name without ``python`` or ``py``."""
    text = "".join(part for part in parts if part not in ("python", "py", "python3"))
    return text.removeprefix("py").removesuffix("py")


def package_of(module: str) -> str:
    """Return the package to suggest for a module."""
    return PROVIDERS.get(module, (normalise(module),))[0]


def module_names(packages: set[str]) -> Mapping[str, str]:
    """Return the names of modules with the package of each."""
    names = {name.replace("-", "_"): name for name in packages}
    return {**names, **{module: found for module, known in PROVIDERS.items() for found in known if found in packages}}


def own_requirement_lines() -> list[str]:
    """Read this package's dependencies from its metadata, without the slow import of importlib.metadata."""
    for entry in sys.path:
        for file in Path(entry or ".").glob("seldon_spec-*.dist-info/METADATA"):
            lines = file.read_text("utf-8").partition("\n\n")[0].splitlines()
            return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    return []
