"""A new service account, as the file that Google gives for one. Prints one JSON object."""

import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
print(json.dumps({"type": "service_account", "client_email": "weir@example.com", "private_key": private.decode()}))
