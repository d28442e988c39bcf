"""The 256 bytes as 256 printable characters, so that a vocabulary of bytes can be stored in a JSON file.

A byte-level tokenizer merges raw bytes, and JSON holds text only. GPT-2's way out, kept by everyone since:
the 188 bytes whose Latin-1 character is printable stand for themselves, and the other 68 (control characters,
space, …) get the characters from U+0100 on, in byte order. So a space is written "Ġ" and a line feed "Ċ".

Source: `bytes_to_unicode` in GPT-2's `encoder.py`.
"""


def _byte_to_char() -> dict[int, str]:
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    table.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return table


BYTE_TO_CHAR = _byte_to_char()
CHAR_TO_BYTE = {char: byte for byte, char in BYTE_TO_CHAR.items()}

#: Place of each byte when the 256 characters are sorted: "!" is first, space (U+0120) comes after "ÿ".
ALPHABET_ORDER = [sorted(BYTE_TO_CHAR.values()).index(BYTE_TO_CHAR[byte]) for byte in range(256)]


def bytes_to_text(data: bytes) -> str:
    """Write bytes as printable characters, one for each byte: `b" the"` gives `"Ġthe"`."""
    return "".join(BYTE_TO_CHAR[byte] for byte in data)


def text_to_bytes(text: str) -> bytes:
    """Undo `bytes_to_text`. A character outside the alphabet is a `ValueError` that names it."""
    try:
        return bytes(CHAR_TO_BYTE[char] for char in text)
    except KeyError as error:
        raise ValueError(
            f"{error.args[0]!r} in {text!r} is not one of the 256 characters of the byte alphabet"
        ) from None
