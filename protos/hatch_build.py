"""Generate the stubs beside their .proto files whenever the package is installed."""

import sys
from importlib import resources
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateStubs(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        from grpc_tools import protoc

        root = Path(self.root)
        files = sorted(str(p.relative_to(root)) for p in root.glob("tollgate/*/v1/*.proto"))
        include = str(resources.files("grpc_tools") / "_proto")
        # The plugins stand beside this interpreter, which need not be on PATH.
        bin_dir = Path(sys.executable).parent
        rc = protoc.main(
            [
                "protoc",
                f"-I{root}",
                f"-I{include}",
                f"--plugin=protoc-gen-mypy={bin_dir / 'protoc-gen-mypy'}",
                f"--plugin=protoc-gen-mypy_grpc={bin_dir / 'protoc-gen-mypy_grpc'}",
                f"--python_out={root}",
                f"--grpc_python_out={root}",
                f"--mypy_out={root}",
                f"--mypy_grpc_out=only_async:{root}",
                *files,
            ]
        )
        if rc != 0:
            sys.exit(f"protoc failed with {rc}")
