"""What badkeys says of keys: `verdicts.py MODULUS FILE...`.

Each FILE is PEM of a public key; each line of the output is JSON with the names of the checks that found something. MODULUS,
hexadecimal, takes the place of the moduli that badkeys knows to share primes: whoever shares one with it is found by the same check.
The block list is the one that lies under XDG_CACHE_HOME.
"""

import json
import sys

import gmpy2
from badkeys.checks import detectandcheck
from badkeys.rsakeys import sharedprimes

modulus = gmpy2.mpz(sys.argv[1], 16)
data = sys.modules[sharedprimes.__module__]
data._moduli[modulus.bit_length()] = modulus
for path in sys.argv[2:]:
    with open(path, encoding="ascii") as file:
        verdict = detectandcheck(file.read())
    print(json.dumps({"type": verdict["type"], "found": sorted(verdict["results"])}))
