"""Strings as DUMP gives them, for tests that make or read dumps of their own."""

from respdyn.types.dump import not_offered, pack_text, seal, unpack_text, unseal


def dump(value: bytes) -> bytes:
    return seal(pack_text(value))


def load(payload: bytes) -> bytes:
    packed = unseal(payload)
    if packed[:1] != b"\0":
        raise not_offered(packed)
    return unpack_text(packed)
