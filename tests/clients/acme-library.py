"""One command of somebody who uses the acme library of PyPI: `acme-library.py FOLDER COMMAND ...`.

FOLDER keeps the account and the certificates from one run to the next. The environment says where the CA is
(DIRECTORY) and where challenges are answered: WEB, a folder that is served; DNS, the management interface of the test
DNS. REQUESTS_CA_BUNDLE names the CA of the https endpoint.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

import josepy as jose
from acme import challenges, client, crypto_util, messages
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

FOLDER = Path(sys.argv[1])


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load(name):
    return serialization.load_pem_private_key((FOLDER / name).read_bytes(), None)


def connect(key, account=None):
    """A client that signs with this key."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    jwk, alg = (jose.JWKRSA(key=key), jose.RS256) if is_rsa else (jose.JWKEC(key=key), jose.ES256)
    net = client.ClientNetwork(jwk, account=account, alg=alg, user_agent="acme-python")
    directory = client.ClientV2.get_directory(os.environ["DIRECTORY"], net)
    return client.ClientV2(directory, net)


def own():
    """The client of the account in the folder, and the account."""
    account = messages.RegistrationResource.json_loads((FOLDER / "account.json").read_text())
    return connect(load("account.key"), account), account


def register(mail, kid=None, hmac=None):
    key = ec.generate_private_key(ec.SECP256R1())
    (FOLDER / "account.key").write_bytes(pem(key))
    connected = connect(key)
    binding = None
    if kid is not None:
        binding = messages.ExternalAccountBinding.from_data(
            account_public_key=connected.net.key.public_key(), kid=kid, hmac_key=hmac, directory=connected.directory
        )
    new = messages.NewRegistration.from_data(
        email=mail, terms_of_service_agreed=True, external_account_binding=binding
    )
    account = connected.new_account(new)
    # A server may give the binding back, and the library cannot write it down.
    account = account.update(body=account.body.update(external_account_binding=None))
    (FOLDER / "account.json").write_text(account.json_dumps())


def contact(mail):
    connected, account = own()
    update = account.body.update(contact=(f"mailto:{mail}",))
    connected.update_registration(account.update(body=update))


def tell(name, **body):
    data = json.dumps(body).encode()
    urllib.request.urlopen(f"{os.environ['DNS']}/{name}", data=data, timeout=10).close()


def answer(authorization, challenge, response, validation):
    if isinstance(challenge.chall, challenges.HTTP01):
        (Path(os.environ["WEB"]) / challenge.chall.encode("token")).write_text(validation)
    else:
        host = f"_acme-challenge.{authorization.body.identifier.value}."
        tell("set-txt", host=host, value=validation)


def issue(file, kind, key_type, profile, *names):
    """FILE, the challenge type, "ec" or "rsa", the profile or "-", and the names."""
    connected, _ = own()
    key = rsa.generate_private_key(65537, 2048) if key_type == "rsa" else ec.generate_private_key(ec.SECP256R1())
    csr = crypto_util.make_csr(pem(key), list(names))
    order = connected.new_order(csr, profile=None if profile == "-" else profile)
    for authorization in order.authorizations:
        if authorization.body.status == messages.STATUS_VALID:
            continue
        challenge = next(offered for offered in authorization.body.challenges if offered.chall.typ == kind)
        response, validation = challenge.response_and_validation(connected.net.key)
        answer(authorization, challenge, response, validation)
        connected.answer_challenge(challenge, response)
    finished = connected.poll_and_finalize(order)
    (FOLDER / f"{file}.key").write_bytes(pem(key))
    (FOLDER / f"{file}.pem").write_text(finished.fullchain_pem)


def renewal(file):
    """Prints when the server would have this certificate renewed, or nothing if it does not say."""
    connected, _ = own()
    when, _ = connected.renewal_time((FOLDER / f"{file}.pem").read_bytes())
    print(when or "")


def revoke(file, reason, by="account"):
    connected = own()[0] if by == "account" else connect(load(f"{file}.key"))
    certificate = x509.load_pem_x509_certificate((FOLDER / f"{file}.pem").read_bytes())
    connected.revoke(certificate, int(reason))


def deactivate():
    connected, account = own()
    connected.deactivate_registration(account)


COMMANDS = {
    command.__name__: command for command in (register, contact, issue, renewal, revoke, deactivate)
}
COMMANDS[sys.argv[2]](*sys.argv[3:])
