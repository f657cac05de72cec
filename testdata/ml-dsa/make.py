"""Makes the files beside this one, with pyca/cryptography 50.0.2 (OpenSSL 4.0.3): keys, requests, and requests that must be
refused. Keys come from a seed; signatures have randomness, so that another run makes other requests."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = Path(__file__).parent
# The seed of the examples in RFC 9881, appendix C.
SEED = bytes(range(32))
NAMES = ["a.example.org"]
NULL = b"\x05\x00"


def element(tag, *contents):
    contents = b"".join(contents)
    length = len(contents)
    if length < 0x80:
        return bytes([tag, length]) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + contents


def algorithm(number, parameters=b"", family=b"\x03"):
    identifier = b"\x60\x86\x48\x01\x65\x03\x04" + family + bytes([number])
    return element(0x30, element(0x06, identifier), parameters)


def bits(octets):
    return element(0x03, b"\0", octets)


def attributes(request):
    """The attributes of a request that the library made, as they are: behind its key."""
    key = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    whole = request.tbs_certrequest_bytes
    return whole[whole.index(key) + len(key):]


def request(good, key_info, outer, sign):
    info = element(0x30, b"\x02\x01\0", element(0x30), key_info, attributes(good))
    return element(0x30, info, outer, bits(sign(info)))


def good_request(key):
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]), [x509.Extension(names.oid, False, names)])
    return builder.sign(key, None)


sets = {
    44: (17, mldsa.MLDSA44PrivateKey.from_seed_bytes(SEED)),
    65: (18, mldsa.MLDSA65PrivateKey.from_seed_bytes(SEED)),
    87: (19, mldsa.MLDSA87PrivateKey.from_seed_bytes(SEED)),
}
for name, (number, key) in sets.items():
    good = good_request(key)
    public = key.public_key()
    raw = public.public_bytes_raw()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    (HERE / f"key-{name}.der").write_bytes(spki)
    (HERE / f"request-{name}.der").write_bytes(good.public_bytes(Encoding.DER))

number, key = sets[44]
good, raw = good_request(key), key.public_key().public_bytes_raw()
plain = algorithm(number)
spki = element(0x30, plain, bits(raw))
prehash = algorithm(32)
bad = {
    "null-in-key": request(good, element(0x30, algorithm(number, NULL), bits(raw)), plain, key.sign),
    "null-in-signature": request(good, spki, algorithm(number, NULL), key.sign),
    "short-key": request(good, element(0x30, plain, bits(raw[:-1])), plain, key.sign),
    "long-key": request(good, element(0x30, plain, bits(raw + b"\0")), plain, key.sign),
    "key-in-octet-string": request(good, element(0x30, plain, bits(element(0x04, raw))), plain, key.sign),
    "key-of-another-set": request(good, element(0x30, algorithm(18), bits(raw)), algorithm(18), key.sign),
    "signature-of-another-set": request(good, spki, algorithm(18), sets[65][1].sign),
    "signature-of-another-key": request(
        good, spki, plain, mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32)).sign
    ),
    "context": request(good, spki, plain, lambda info: key.sign(info, b"context")),
    "prehash": request(good, element(0x30, prehash, bits(raw)), prehash, key.sign),
    "zero-key": request(good, element(0x30, plain, bits(raw[:32] + bytes(1280))), plain, key.sign),
}
for name, der in bad.items():
    (HERE / f"bad-{name}.der").write_bytes(der)
