"""Writes one CBOR item from stdin as JSON: bytes as {"bytes": hex}, tags as {"tag", "value"}, maps as {"map": pairs}.

Knows nothing of Bintrail's messages; the decoder is Python's cbor2.
"""

import io
import json
import sys

import cbor2


def plain(item):
    if isinstance(item, bytes):
        return {"bytes": item.hex()}
    if isinstance(item, cbor2.CBORTag):
        return {"tag": item.tag, "value": plain(item.value)}
    if isinstance(item, dict):
        return {"map": [[plain(key), plain(value)] for key, value in item.items()]}
    if isinstance(item, list):
        return [plain(each) for each in item]
    if isinstance(item, int):
        return {"int": str(item)}
    return item


bytes_read = sys.stdin.buffer.read()
stream = io.BytesIO(bytes_read)
item = cbor2.load(stream)
if stream.tell() != len(bytes_read):
    sys.exit("something follows the item")
json.dump(plain(item), sys.stdout)
