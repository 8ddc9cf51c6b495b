"""What answers under `server --exec` in the test bed.

    program.py              a program for each connection, lines: give N SIZE, push N SIZE, how many, or a message
    program.py parts        a program for each request: give N SIZE, answered piece by piece
"""

import sys

PATTERN = bytes(33 + (j * j + 3 * j) % 90 for j in range(8191))  # Tests/traffic has the same.
PIECE = 1000


def payload(number, size):
    text = b"%d " % number
    return (text + PATTERN * (size // len(PATTERN) + 1))[:size]


def parts():
    _, number, size = sys.stdin.buffer.read().split()
    answer = payload(int(number), int(size))
    for start in range(0, len(answer), PIECE):
        sys.stdout.buffer.write(answer[start : start + PIECE])
        sys.stdout.buffer.flush()


def lines():
    messages = size = 0
    for line in sys.stdin.buffer:
        line = line[:-1]
        word, *rest = line.split(b" ", 2)
        out = sys.stdout.buffer
        if word == b"give":
            out.write(payload(int(rest[0]), int(rest[1])) + b"\n")
        elif word == b"push":
            out.write(b"ok\n")
            for number in range(int(rest[0])):
                out.write(payload(number, int(rest[1])) + b"\n")
        elif word == b"how":
            out.write(b"%d messages, %d bytes\n" % (messages, size))
        elif line == payload(messages, len(line)):
            messages, size = messages + 1, size + len(line)
        else:
            print(f"message {messages} is not the one that was sent", file=sys.stderr, flush=True)
        out.flush()


if __name__ == "__main__":
    parts() if sys.argv[1:] == ["parts"] else lines()
