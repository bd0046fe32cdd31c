"""The bundle: the folder that `training` writes and the service reads.

    models/<name>/<version>/
      manifest.json   config.json   tokenizer.json   model.<precision>.onnx   README.md

A bundle is written to a temporary folder that is renamed last, so one that exists is whole; every file is hashed.
Which tasks there are is not known here: a manifest names its own, and `app.serving.sources` checks that it is served.
"""

from app.bundle.config import labels_of, problem_type_of
from app.bundle.files import read_json, sha256
from app.bundle.manifest import (
    MANIFEST,
    TEMPORARY_PREFIX,
    Bundle,
    BundleError,
    Graph,
    Manifest,
    Precision,
    Probe,
    ProblemType,
)
from app.bundle.reading import read_bundle, version_folders, versions
from app.bundle.writing import new_version, replace_file, replace_folder, write_manifest

__all__ = [
    "MANIFEST",
    "TEMPORARY_PREFIX",
    "Bundle",
    "BundleError",
    "Graph",
    "Manifest",
    "Precision",
    "Probe",
    "ProblemType",
    "labels_of",
    "new_version",
    "problem_type_of",
    "read_bundle",
    "read_json",
    "replace_file",
    "replace_folder",
    "sha256",
    "version_folders",
    "versions",
    "write_manifest",
]
