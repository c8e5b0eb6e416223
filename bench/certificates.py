"""A certificate for this machine's own address, and the authority that signs it."""

import datetime
import ipaddress
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write(folder: pathlib.Path) -> tuple[ssl.SSLContext, pathlib.Path]:
    """A TLS context for a server on 127.0.0.1, and a file of root certificates with which clients trust it: the
    system's, which clients have to read anyway, and the authority's."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate("clerk-sync benchmark authority", authority_key, authority_key, None)
    server = certificate("127.0.0.1", server_key, authority_key, authority)
    chain, key, roots = (folder / name for name in ("chain.pem", "key.pem", "roots.pem"))
    pem = serialization.Encoding.PEM
    chain.write_bytes(server.public_bytes(pem))
    key.write_bytes(
        server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    system = ssl.get_default_verify_paths().cafile
    trusted = pathlib.Path(system).read_bytes() if system else b""
    roots.write_bytes(trusted + b"\n" + authority.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context, roots


def certificate(name, key, issuer_key, issuer) -> x509.Certificate:
    """A certificate that the issuer signs, or a self-signed authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        address = x509.IPAddress(ipaddress.ip_address(name))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
