"""A perspective of open-mpic-core behind HTTPS with client certificates: `perspective.py SETTINGS`, where SETTINGS is JSON.

The library brings checkers and messages, and leaves the server to others. It knows no ports but 53, 80 and 443, so the
stories tell it where these are: `dns` (a port) for its resolver, `tls` (a port) in the place of 443, and http_proxy in the
environment in the place of port 80.
"""

import asyncio
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dns.asyncresolver
from open_mpic_core import CaaCheckRequest, DcvCheckRequest, MpicCaaChecker, MpicDcvChecker

SETTINGS = json.loads(sys.argv[1])

resolver = dns.asyncresolver.Resolver(configure=False)
resolver.nameservers = ["127.0.0.1"]
resolver.port = SETTINGS["dns"]
resolver.cache = None
dns.asyncresolver.default_resolver = resolver

open_connection = asyncio.open_connection


async def dial(host, port, **options):
    """The target's port 443 is a port of this machine."""
    return await open_connection("127.0.0.1", SETTINGS["tls"] if port == 443 else port, **options)


asyncio.open_connection = dial


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/dcv":
            checker = MpicDcvChecker(http_client_timeout=20, dns_timeout=5, dns_resolution_lifetime=20)
            answer = asyncio.run(checker.check_dcv(DcvCheckRequest.model_validate_json(body)))
        else:
            checker = MpicCaaChecker([], dns_timeout=5, dns_resolution_lifetime=20)
            answer = asyncio.run(checker.check_caa(CaaCheckRequest.model_validate_json(body)))
        text = answer.model_dump_json().encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(SETTINGS["certificate"], SETTINGS["key"])
context.load_verify_locations(SETTINGS["client_ca"])
context.verify_mode = ssl.CERT_REQUIRED
server = ThreadingHTTPServer(("127.0.0.1", SETTINGS["port"]), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", flush=True)
server.serve_forever()
