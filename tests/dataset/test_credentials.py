"""Signed with a certificate made here, a file proves what it says; one changed byte and it does not."""

import datetime as dt
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import c2pa
import numpy as np
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from gifcli import session
from gifcli.dataset.credentials import KINDS, SAMPLE, Signer, open_signer
from gifcli.dataset.replica import replicate
from gifcli.dataset.verify import verify
from gifcli.errors import UsageError
from gifcli.images.marks import encode_image, read_marks

ROW = {"key": "0123-k0-a1", "label": "cat", "prior": "sd-turbo", "parent_sha256": "ab" * 32, "rng": 3, "prompt": None}
PICTURE = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)


def name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, text), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Me")]
    )


def certificate(subject: x509.Name, key: object, issuer: x509.Name, by: object, *, root: bool) -> x509.Certificate:
    """A certificate of the kind that C2PA asks for."""
    now = dt.datetime.now(dt.UTC)
    usage = dict.fromkeys(
        [
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ],
        False,
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not root, key_cert_sign=root, crl_sign=root, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not root:
        built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
    return built.sign(by, None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def save_chain(folder: Path, make: Callable[[], object]) -> tuple[str, str]:
    """Writes a chain of two and the key of its end -> their paths."""
    root_key, key = make(), make()
    root = certificate(name("Test root"), root_key, name("Test root"), root_key, root=True)
    leaf = certificate(name("Test signer"), key, name("Test root"), root_key, root=False)
    pem = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    return str(folder / "chain.pem"), str(folder / "key.pem")


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    made = open_signer(*save_chain(tmp_path, p256))
    assert made is not None
    return made


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_every_format_is_signed_and_still_marked(signer: Signer, suffix: str) -> None:
    file = encode_image(PICTURE, suffix, 95, {"prior": "sd-turbo", "key": "0123-k0-a1"})
    signed = signer.sign(file, suffix, ROW)
    with c2pa.Reader(KINDS[suffix], io.BytesIO(signed)) as reader:
        assert reader.get_validation_state() in ("Valid", "Trusted")
        told = json.loads(reader.json())
    manifest = told["manifests"][told["active_manifest"]]
    found = {assertion["label"].partition(".v")[0]: assertion["data"] for assertion in manifest["assertions"]}
    assert found[SAMPLE] == {name: value for name, value in ROW.items() if value is not None}
    (action,) = found["c2pa.actions"]["actions"]
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert manifest["signature_info"]["issuer"] == "Me"
    assert read_marks(signed) == read_marks(file)
    with Image.open(io.BytesIO(signed)) as one, Image.open(io.BytesIO(file)) as other:
        assert one.tobytes() == other.tobytes()


def test_a_changed_byte_breaks_the_signature(signer: Signer) -> None:
    signed = bytearray(signer.sign(encode_image(PICTURE, ".jpg", 95, {}), ".jpg", ROW))
    signed[-100] ^= 1
    with c2pa.Reader("image/jpeg", io.BytesIO(bytes(signed))) as reader:
        assert reader.get_validation_state() == "Invalid"


@pytest.mark.parametrize(
    "make",
    [
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["ed25519", "rsa", "p384"],
)
def test_other_kinds_of_keys_sign_too(tmp_path: Path, make: Callable[[], object]) -> None:
    made = open_signer(*save_chain(tmp_path, make))
    assert made is not None
    with c2pa.Reader("image/jpeg", io.BytesIO(made.sign(encode_image(PICTURE, ".jpg", 95, {}), ".jpg", ROW))) as reader:
        assert reader.get_validation_state() in ("Valid", "Trusted")


def test_what_cannot_sign_is_said(tmp_path: Path) -> None:
    chain, key = save_chain(tmp_path, p256)
    assert open_signer(None, None) is None
    with pytest.raises(UsageError, match="found one of them"):
        open_signer(chain, None)
    with pytest.raises(UsageError, match=r"export\.certificate.*nothing\.pem"):
        open_signer(str(tmp_path / "nothing.pem"), key)
    with pytest.raises(UsageError, match="cannot sign"):
        open_signer(chain, chain)


def test_a_dataset_is_signed_on_its_way_out(finished: Path, tmp_path: Path) -> None:
    chain, key = save_chain(tmp_path, p256)
    session.export_to(str(tmp_path / "there"), finished, {"export.certificate": chain, "export.private_key": key})
    assert verify(tmp_path / "there").differences == {}
    for row in pq.read_table(tmp_path / "there" / "manifest.parquet").to_pylist():
        if row["file"] and row["is_synthetic"]:
            with c2pa.Reader("image/jpeg", io.BytesIO((tmp_path / "there" / row["file"]).read_bytes())) as reader:
                assert reader.get_validation_state() in ("Valid", "Trusted")
        elif row["file"]:
            assert (tmp_path / "there" / row["file"]).read_bytes() == (finished / row["file"]).read_bytes()
    published = [(tmp_path / "there" / name).read_text() for name in ("README.md", "recipe.yaml")]
    session.run_stage("export", finished, {"export.certificate": chain, "export.private_key": key})
    assert verify(finished).differences == {}
    for text in (*published, (finished / "README.md").read_text()):
        assert str(tmp_path) not in text
        assert "key.pem" not in text
    made = next(row for row in pq.read_table(finished / "manifest.parquet").to_pylist() if row["verdict"] == "kept")
    assert replicate(finished, made["key"], tmp_path / "x.jpg", {"run.device": "cpu"}).identical


def test_another_certificate_signs_again_and_the_same_one_elsewhere_does_not(finished: Path, tmp_path: Path) -> None:
    def export(folder: Path) -> bool:
        paths = {"certificate": str(folder / "chain.pem"), "private_key": str(folder / "key.pem")}
        summary = session.run_stage("export", finished, {f"export.{name}": path for name, path in paths.items()})
        return "export" in summary.rates

    first, moved = tmp_path / "first", tmp_path / "moved"
    first.mkdir()
    save_chain(first, p256)
    assert export(first)
    shutil.copytree(first, moved)
    assert not export(first)
    assert not export(moved)
    save_chain(moved, p256)  # renewed, under the same name
    assert export(moved)
    assert verify(finished).differences == {}
