"""
Hash rows: SHA-256 (FIPS 180-4) of many messages of one width at once.

A leaf or a node of the log is two blocks, which the processor's SHA extensions hash in a tenth of a microsecond; to make
and throw away a hash object of hashlib for it costs five times that. So where there are such extensions, one loop over
all rows is written here in LLVM's language and compiled when it is first needed, in some thirty milliseconds. Anywhere
else, and for a few rows, hashlib does the same.
"""

import ctypes
import math
import os
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt

HashArray = npt.NDArray[np.uint8]
"""Rows of bytes: one message, or one hash, a row."""
FEWEST = 24
"""Fewer rows than this are not worth a call of the compiled loop."""
BLOCK = 64
MOST_IN_ONE_BLOCK = BLOCK - 9
"""Behind the message stand a bit and its length."""
AT_ONCE = 2
"""So many messages go through the processor interleaved: one alone would wait for its own results."""
_Loop = Callable[[int, int, int, int], None]
"""Takes the address of padded messages, how many there are, how many blocks each has, and where the hashes go."""


def hash_rows(rows: HashArray) -> HashArray:
    """Return the SHA-256 of each row, 32 bytes a row."""
    loop = compiled_loop() if len(rows) >= FEWEST else None
    if loop is None:
        return _hash_one_by_one(rows)
    count, width = rows.shape
    blocks = (width + 8) // BLOCK + 1
    padded = np.zeros((count + count % AT_ONCE, blocks * BLOCK), np.uint8)
    padded[:count, :width] = rows
    padded[:, width] = 0x80
    padded[:, -8:] = np.frombuffer((8 * width).to_bytes(8, "big"), np.uint8)
    hashes = np.empty((len(padded), 32), np.uint8)
    loop(padded.ctypes.data, len(padded), blocks, hashes.ctypes.data)
    return hashes[:count]


def _hash_one_by_one(rows: HashArray) -> HashArray:
    if not len(rows):
        return np.empty((0, 32), np.uint8)
    messages: list[bytes] = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0].tolist()
    return np.frombuffer(b"".join([sha256(message).digest() for message in messages]), np.uint8).reshape(-1, 32)


@lru_cache(maxsize=1)
def compiled_loop() -> _Loop | None:
    """Return the loop for this machine, compiled now if need be; None where it cannot be, or does not hash right."""
    if os.environ.get("TALLYSTICK_COMPILED_HASH") == "off":
        return None
    try:
        loop = _compile()
    except (ImportError, OSError, RuntimeError):
        return None
    return loop if loop is not None and _hashes_right(loop) else None


def _compile() -> _Loop | None:
    """Compile the loop; None on a processor without the extensions."""
    from llvmlite import binding  # noqa: PLC0415 - 60 MB that only who posts, seals or verifies in bulk has to load

    features = binding.get_host_cpu_features()
    if not (features.get("sha") and features.get("sse4.1")):
        return None
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = binding.parse_assembly(_write_loop())
    module.verify()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features.flatten(), opt=2, jit=True
    )
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    function = prototype(engine.get_function_address("hash_rows"))

    def loop(messages: int, count: int, blocks: int, hashes: int, _engine: object = engine) -> None:
        function(messages, count, blocks, hashes)

    return loop


def _hashes_right(loop: _Loop) -> bool:
    """Hold the loop against hashlib before anything rests on it."""
    message = bytes(range(100))
    padded = np.frombuffer((message + b"\x80").ljust(120, b"\0") + (800).to_bytes(8, "big"), np.uint8)
    both = np.concatenate([padded, padded])
    hashes = np.zeros((AT_ONCE, 32), np.uint8)
    loop(both.ctypes.data, AT_ONCE, 2, hashes.ctypes.data)
    return hashes.tobytes() == sha256(message).digest() * AT_ONCE


class _Code:
    """LLVM's language, instruction by instruction; each result gets a name of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, line: str) -> None:
        self.lines.append(line)

    def let(self, expression: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        return name

    def call(self, function: str, *arguments: str) -> str:
        return self.let(f"call {_WORDS} @llvm.{function}({', '.join(f'{_WORDS} {one}' for one in arguments)})")

    def pick(self, one: str, other: str, *places: int) -> str:
        """Take four words out of the eight of both."""
        return self.let(f"shufflevector {_WORDS} {one}, {_WORDS} {other}, {_WORDS} {_four(*places)}")

    def at(self, pointer: str, offset: int | str) -> str:
        return self.let(f"getelementptr i8, ptr {pointer}, i64 {offset}")


_WORDS = "<4 x i32>"
_FIRST_WORDS = range(0, BLOCK, 16)
"""Where the words lie that the first sixteen rounds are fed with, four by four."""
_DECLARED = "\n".join(
    [f"declare {_WORDS} @llvm.bswap.v4i32({_WORDS})", f"declare {_WORDS} @llvm.x86.sha256msg1({_WORDS}, {_WORDS})",
     f"declare {_WORDS} @llvm.x86.sha256msg2({_WORDS}, {_WORDS})",
     f"declare {_WORDS} @llvm.x86.sha256rnds2({_WORDS}, {_WORDS}, {_WORDS})"]
)  # fmt: skip


def _write_loop() -> str:
    """
    Write the function: for each pair of messages, for each of their blocks, the 64 rounds; then the hashes.

    The state of a message is two vectors as the instructions want them: words f, e, b, a and words h, g, d, c.
    """
    code = _Code()
    a, b, c, d, e, f, g, h = _roots(8, 2)
    initial = [_four(f, e, b, a), _four(h, g, d, c)] * AT_ONCE
    for line in (
        "define void @hash_rows(ptr %messages, i64 %count, i64 %blocks, ptr %hashes) {", "start:",
        "%width = shl i64 %blocks, 6", "%any = icmp ugt i64 %count, 0", "br i1 %any, label %pair, label %end",
        "pair:", "%at = phi i64 [0, %start], [%next, %store]", "%skip = mul i64 %at, %width",
        "%message = getelementptr i8, ptr %messages, i64 %skip", "br label %block",
        "block:", "%nth = phi i64 [0, %pair], [%following, %block]",
        *(f"%state{place} = phi {_WORDS} [{words}, %pair], [%sum{place}, %block]" for place, words in
          enumerate(initial)),
        "%offset = shl i64 %nth, 6", "%block0 = getelementptr i8, ptr %message, i64 %offset",
        "%block1 = getelementptr i8, ptr %block0, i64 %width",
    ):  # fmt: skip
        code.put(line)
    states = [[f"%state{2 * one}", f"%state{2 * one + 1}"] for one in range(AT_ONCE)]
    _write_rounds(code, states)
    for place in range(2 * AT_ONCE):
        code.put(f"%sum{place} = add {_WORDS} {states[place // 2][place % 2]}, %state{place}")
    for line in ("%following = add i64 %nth, 1", "%more = icmp ult i64 %following, %blocks",
                 "br i1 %more, label %block, label %store", "store:", "%done = shl i64 %at, 5",
                 "%hash = getelementptr i8, ptr %hashes, i64 %done"):  # fmt: skip
        code.put(line)
    for one in range(AT_ONCE):
        for half, places in enumerate(((3, 2, 7, 6), (1, 0, 5, 4))):
            words = code.call("bswap.v4i32", code.pick(f"%sum{2 * one}", f"%sum{2 * one + 1}", *places))
            code.put(f"store {_WORDS} {words}, ptr {code.at('%hash', 32 * one + 16 * half)}, align 1")
    for line in (f"%next = add i64 %at, {AT_ONCE}", "%left = icmp ult i64 %next, %count",
                 "br i1 %left, label %pair, label %end", "end:", "ret void", "}"):  # fmt: skip
        code.put(line)
    return "\n".join([*code.lines, _DECLARED])


def _write_rounds(code: _Code, states: list[list[str]]) -> None:
    """Write the 64 rounds of one block of each message, four by four, and the message schedule that feeds them."""
    constants = _roots(64, 3)
    schedules: list[list[str]] = [[] for _ in states]
    for four in range(16):
        for one, (state, schedule) in enumerate(zip(states, schedules, strict=True)):
            if four < len(_FIRST_WORDS):
                words = code.let(f"load {_WORDS}, ptr {code.at(f'%block{one}', _FIRST_WORDS[four])}, align 1")
                schedule.append(code.call("bswap.v4i32", words))
            else:
                begun = code.call("x86.sha256msg1", schedule[-4], schedule[-3])
                middle = code.let(f"add {_WORDS} {begun}, {code.pick(schedule[-2], schedule[-1], 1, 2, 3, 4)}")
                schedule.append(code.call("x86.sha256msg2", middle, schedule[-1]))
            fed = code.let(f"add {_WORDS} {schedule[-1]}, {_four(*constants[4 * four : 4 * four + 4])}")
            state[1] = code.call("x86.sha256rnds2", state[1], state[0], fed)
            state[0] = code.call("x86.sha256rnds2", state[0], state[1], code.pick(fed, fed, 2, 3, 2, 3))


def _four(*words: int) -> str:
    return f"<{', '.join(f'i32 {word}' for word in words)}>"


def _roots(count: int, degree: int) -> list[int]:
    """Return the first 32 bits of the fractions of the roots of the first primes (FIPS 180-4 §4.2.2, §5.3.3)."""
    primes = [one for one in range(2, 312) if all(one % other for other in range(2, math.isqrt(one) + 1))]
    return [_root(prime << 32 * degree, degree) & 0xFFFFFFFF for prime in primes[:count]]


def _root(value: int, degree: int) -> int:
    """Return the largest integer whose power of *degree* is not above *value*."""
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low
