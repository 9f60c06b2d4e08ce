"""Content credentials (C2PA): generated files signed with the user's own certificate, so that others can tell who made them.

Needs the extra gifcli[c2pa]. A signature holds random numbers, so a signed dataset is not the same bit for bit when it is
exported again; the samples in the run folder are, for they are signed on their way out.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gifcli import __version__
from gifcli.errors import EnvironmentFault, UsageError
from gifcli.images.marks import source_type

KINDS = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
SAMPLE = "org.gifcli.sample"
TOLD = ("key", "label", "parent_sha256", "prior", "revision", "prompt", "rng", "fingerprint")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs image files; opened by `open_signer`. `certificate` is the sha256 of the chain, wherever that lies."""

    signer: Any
    certificate: str

    def sign(self, data: bytes, suffix: str, row: Mapping[str, Any]) -> bytes:
        """A generated file with its credentials; `row` is its manifest row.

        Raises:
            EnvironmentFault: the certificate cannot sign it.
        """
        from c2pa import Builder, C2paError

        signed = io.BytesIO()
        try:
            with Builder(json.dumps(claim(row, suffix))) as builder:
                builder.sign(self.signer, KINDS[suffix], io.BytesIO(data), signed)
        except C2paError as error:
            raise EnvironmentFault(f"{row['key']}: cannot be signed: {error}; see export.certificate") from error
        return signed.getvalue()


def open_signer(certificate: str | None, private_key: str | None) -> Signer | None:
    """A signer from two PEM files: the certificate with the chain above it, and its key; None where neither is named.

    Raises:
        UsageError: only one is named, one cannot be read, or the key is of no kind that C2PA knows.
        EnvironmentFault: the package is not installed.
    """
    if certificate is None and private_key is None:
        return None
    if certificate is None or private_key is None:
        raise UsageError("export: expected both certificate and private_key (PEM files), found one of them; name both")
    try:
        import c2pa
    except ImportError as error:
        raise EnvironmentFault("export.certificate needs C2PA; install it: pip install 'gifcli[c2pa]'") from error
    chain, key = _read("certificate", certificate), _read("private_key", private_key)
    try:
        info = c2pa.C2paSignerInfo(_algorithm(key), chain, key, None)
        return Signer(c2pa.Signer.from_info(info), hashlib.sha256(chain).hexdigest())
    except (c2pa.C2paError, ValueError) as error:
        raise UsageError(f"export.certificate: {certificate} and {private_key} cannot sign: {error}") from error


def claim(row: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    """What is signed: how the image came to be, by what, and from which original."""
    agent = {"name": "gifcli", "version": __version__}
    created = {
        "action": "c2pa.created",
        "softwareAgent": agent,
        "digitalSourceType": source_type(str(row["prior"])),
    }
    told = {name: row[name] for name in TOLD if row.get(name) is not None}
    return {
        "claim_generator_info": [agent],
        "title": f"{row['key']}{suffix}",
        "format": KINDS[suffix],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": SAMPLE, "data": told},
        ],
    }


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"export.{name}: expected a PEM file, {path}: {reason}; give its path") from error


def _algorithm(key: bytes) -> str:
    """The C2PA name of the algorithm that a private key signs with."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    match load_pem_private_key(key, None):
        case ec.EllipticCurvePrivateKey() as curve:
            return {256: "es256", 384: "es384", 521: "es512"}[curve.key_size]
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
        case other:
            raise ValueError(f"expected an EC, Ed25519 or RSA key, found {type(other).__name__}")
