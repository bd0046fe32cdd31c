"""The bundle: the folder that `training` writes and the service reads. The only thing the two sides share.

    models/<name>/<version>/
      manifest.json   config.json   tokenizer.json   model.<precision>.onnx   README.md

A bundle is written to a temporary folder and renamed last, so one that exists is whole; every file is hashed.
"""

from app.bundle.config import labels_of, position_offset_of, problem_type_of, task_of
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
    TaskName,
)
from app.bundle.reading import read_bundle, version_folders, versions
from app.bundle.writing import new_version, write_manifest

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
    "TaskName",
    "labels_of",
    "new_version",
    "position_offset_of",
    "problem_type_of",
    "read_bundle",
    "read_json",
    "sha256",
    "task_of",
    "version_folders",
    "versions",
    "write_manifest",
]
