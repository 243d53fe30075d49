"""A certificate authority for tests, made by the openssl program in a directory of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest


class Authority:
    """Signs certificates. Files: `name.crt` and `name.key` beside `ca.crt`."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                  "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30",
                  "-subj", f"/CN=authority {directory.name}")

    @property
    def ca(self) -> str:
        return str(self.directory / "ca.crt")

    def make(self, name: str, days: int = 10) -> tuple[str, str]:
        """A certificate and its key. With negative days it expired so long ago."""
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                  "-CAcreateserial", "-out", f"{name}.crt", "-days", str(days))
        return str(self.directory / f"{name}.crt"), str(self.directory / f"{name}.key")

    def flags(self, certificate: tuple[str, str]) -> list[str]:
        """The flags of a node that shows this certificate and believes this authority."""
        return [f"--tls-cert-file={certificate[0]}", f"--tls-key-file={certificate[1]}",
                f"--tls-ca-cert-file={self.ca}"]

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.directory, check=True, capture_output=True)
