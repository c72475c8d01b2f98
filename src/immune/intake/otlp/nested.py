"""Values of attributes that are lists, maps or bytes: protobuf's own library reads them."""

from __future__ import annotations

import base64

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


class Broken(Exception):
    """The bytes are no message of their kind."""


def nested_value(data: bytes) -> object:
    """Return the value whose message `data` is; raises Broken where it is none."""
    try:
        return plain(AnyValue.FromString(data))
    except DecodeError:  # broken, or nested deeper than protobuf's own limit of 100
        raise Broken("a value is broken or nested too deep") from None


def plain(value: AnyValue) -> object:
    """Return `value` as the JSON that it stands for."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "bool_value":
            return value.bool_value
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: plain(item.value) for item in value.kvlist_value.values}
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case _:
            return None
